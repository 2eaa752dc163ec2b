package sentiment

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// The texts that the shipped model was trained on, and the model. The corpus is the
// project's own.
//
//go:embed corpus/*.txt model/tone.model
var shippedFiles embed.FS

// corpusFiles are the files of the corpus, in the order in which they are learnt.
func corpusFiles() []string { return []string{"corpus/en.txt", "corpus/zh.txt"} }

// ShippedOptions are those of the training of the shipped model: naive Bayes adds nothing
// to so small a corpus, see docs/accuracy.md.
func ShippedOptions() Options { return Options{Kind: Logistic, Cost: 10, Seed: 1} }

// spellings is how many of the texts that a line of the corpus stands for are learnt: a
// line of many alternatives must not outweigh all others.
const spellings = 24

// Corpus is the project's own corpus, and a hash of it.
func Corpus() ([]Example, string, error) {
	var all []Example
	sum := sha256.New()
	for _, name := range corpusFiles() {
		raw, err := shippedFiles.ReadFile(name)
		if err != nil {
			return nil, "", fmt.Errorf("sentiment: read corpus: %w", err)
		}
		_, _ = sum.Write(raw) // never fails
		for i, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
			mark, pattern, _ := strings.Cut(line, " ")
			switch mark {
			case "#", "":
				continue
			case "+", "-", "=":
			default:
				return nil, "", fmt.Errorf("sentiment: %s:%d: begins with %q, want +, - or =", name, i+1, mark)
			}
			for _, text := range spell(pattern, spellings) {
				e := Example{Doc: NewDoc(text), Positive: mark == "+", Group: name + ":" + strconv.Itoa(i)}
				all = append(all, e)
				if e.Positive = true; mark == "=" { // as often one as the other
					all = append(all, e)
				}
			}
		}
	}
	return all, hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// spell returns at most n of the texts that a pattern stands for, spread evenly, each
// alternative in as many of them as the others beside it.
func spell(pattern string, n int) []string {
	var parts [][]string
	total := 1
	for rest := pattern; rest != ""; {
		head, tail, found := strings.Cut(rest, "{")
		parts = append(parts, []string{head})
		if !found {
			break
		}
		choice, after, _ := strings.Cut(tail, "}")
		parts = append(parts, strings.Split(choice, "|"))
		total *= len(parts[len(parts)-1])
		rest = after
	}
	n = min(n, total)
	out := make([]string, 0, n)
	for i := range n {
		var text strings.Builder
		at := i * (total / n)
		for k, p := range parts {
			if n == total { // all of them, in mixed radix
				text.WriteString(p[at%len(p)])
				at /= len(p)
			} else { // each place turns at a pace of its own
				text.WriteString(p[(i*(k/2+1)+i/len(p))%len(p)])
			}
		}
		out = append(out, text.String())
	}
	return out
}

// ShippedFile is the file of the model that is part of the build.
func ShippedFile() ([]byte, error) {
	b, err := shippedFiles.ReadFile("model/tone.model")
	if err != nil {
		return nil, fmt.Errorf("sentiment: read shipped model: %w", err)
	}
	return b, nil
}

// Shipped is the model that is part of the build.
func Shipped() (*Model, error) {
	file, err := ShippedFile()
	if err != nil {
		return nil, err
	}
	return Decode(file)
}
