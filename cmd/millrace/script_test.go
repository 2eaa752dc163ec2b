package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts plays the program as a person at a shell would: testdata/script holds
// what is typed and what must be answered.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/script",
		Deadline: time.Now().Add(2 * time.Minute), // a program that should have ended is killed
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": scriptExitCode, "mails": scriptMails, "gzipped": scriptGzip, "cut": scriptCut, "json": scriptJSON,
		},
	})
}

// scriptExitCode runs "exitcode N PROGRAM ARG…", which must end with that code. Its
// output goes where stdout and stderr look for it.
func scriptExitCode(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if e, ok := err.(interface{ ExitCode() int }); ok {
		code = e.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// scriptMails checks "mails DIR N PATTERN…": there are so many mails, and one of them
// fits all patterns. A mail is its header, its text and its HTML, decoded.
func scriptMails(ts *testscript.TestScript, neg bool, args []string) {
	paths, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.eml"))
	ts.Check(err)
	if fmt.Sprint(len(paths)) != args[1] {
		ts.Fatalf("%d mails, want %s", len(paths), args[1])
	}
	found, all := false, ""
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		ts.Check(err)
		text, err := mailText(raw)
		ts.Check(err)
		fits := true
		for _, p := range args[2:] {
			fits = fits && regexp.MustCompile(`(?m)`+p).MatchString(text)
		}
		found, all = found || fits, all+text
	}
	if len(args) > 2 && found == neg {
		ts.Fatalf("one of the mails fits %q: %v\n%s", args[2:], found, all)
	}
}

// mailText is a mail as one text.
func mailText(raw []byte) (string, error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for name, values := range m.Header {
		for _, v := range values {
			decoded, err := new(mime.WordDecoder).DecodeHeader(v)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(strings.Fields(decoded), " "))
		}
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return out.String(), nil
		}
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "\n%s\n", bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")))
	}
}

// scriptGzip runs "gzipped FILE…": each gets a packed neighbour, FILE.gz.
func scriptGzip(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, err := io.WriteString(w, ts.ReadFile(name))
		ts.Check(err)
		ts.Check(w.Close())
		ts.Check(os.WriteFile(ts.MkAbs(name+".gz"), z.Bytes(), 0o600))
	}
}

// scriptCut runs "cut FILE N": what comes after the first N bytes is lost.
func scriptCut(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}

// scriptJSON runs "json FILE": it must hold one JSON value.
func scriptJSON(ts *testscript.TestScript, _ bool, args []string) {
	if !json.Valid([]byte(ts.ReadFile(args[0]))) {
		ts.Fatalf("%s is not JSON", args[0])
	}
}
