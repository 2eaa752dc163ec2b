package accuracy

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"millrace/operators/content"
)

// ContentGuard is what the guard makes of a labelled set of messages: of what share of
// the spam it refuses, and of what share of the rest.
type ContentGuard struct {
	Set   string              `json:"set"`
	Texts int                 `json:"texts"`
	Spam  int                 `json:"spam"`
	By    []ContentGuardShare `json:"by"`
}

// ContentGuardShare is what one part of the guard refuses.
type ContentGuardShare struct {
	Part   string  `json:"part"` // word lists, model, or both
	Recall float64 `json:"recall"`
	False  float64 `json:"false_positives"`
}

// contentGuardMost bounds a labelled set.
const contentGuardMost = 1_000_000

// EvaluateContentGuard judges the messages of a file: a label, a tab, and a text on each
// line. What is labelled "spam" is to be refused. A folder stands for sms.tsv or spam.tsv
// in it or in its folder sms_spam. The guard learns nothing of the file.
func EvaluateContentGuard(path string) (ContentGuard, error) {
	w, err := content.New(content.Options{NoModel: true})
	if err != nil {
		return ContentGuard{}, err
	}
	file, err := findSpam(path)
	if err != nil {
		return ContentGuard{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return ContentGuard{}, fmt.Errorf("read messages: %w", err)
	}
	defer func() { _ = f.Close() }()
	out := ContentGuard{Set: filepath.Base(file)}
	var hits [3][2]int // by part of the guard: of what is fine, and of the spam
	s := bufio.NewScanner(f)
	for s.Scan() {
		label, text, ok := strings.Cut(s.Text(), "\t")
		if !ok {
			continue
		}
		if out.Texts++; out.Texts > contentGuardMost {
			return out, fmt.Errorf("%s has more than %d messages", file, contentGuardMost)
		}
		class := 0
		if strings.EqualFold(label, "spam") {
			class = 1
			out.Spam++
		}
		lists, model := w.Wording(text)
		for i, said := range []bool{lists != "", model != "", lists != "" || model != ""} {
			if said {
				hits[i][class]++
			}
		}
	}
	if err := s.Err(); err != nil {
		return out, fmt.Errorf("read messages: %w", err)
	}
	if out.Spam == 0 || out.Spam == out.Texts {
		return out, fmt.Errorf("%s: %d messages, %d of them spam: want both kinds", file, out.Texts, out.Spam)
	}
	for i, part := range []string{"word lists", "model", "both"} {
		out.By = append(out.By, ContentGuardShare{part, float64(hits[i][1]) / float64(out.Spam), float64(hits[i][0]) / float64(out.Texts-out.Spam)})
	}
	return out, nil
}

// findSpam is the file of a set.
func findSpam(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("find messages: %w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range []string{"spam.tsv", "sms.tsv", filepath.Join("sms_spam", "sms.tsv")} {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return filepath.Join(path, name), nil
		}
	}
	return "", errors.New(path + " holds no labelled messages: want spam.tsv")
}
