package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// checkStateAnswers asks the running program for ann's profile and for all of them.
func (r *live) checkStateAnswers() {
	r.t.Helper()
	h := r.app.socketHandler()
	ask := func(path string, code int) string {
		r.t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, path, http.NoBody))
		if w.Code != code {
			r.t.Fatalf("%s: %d %s, want %d", path, w.Code, w.Body, code)
		}
		return w.Body.String()
	}
	if s := ask("/state/get?cell=person/profile&key=ann", 200); !strings.Contains(s, "…@") || strings.Contains(s, "ann@") {
		r.t.Errorf("ann's profile: %s", s)
	}
	if s := ask("/state/get?cell=person/profile&key=ann&reveal=true", 200); !strings.Contains(s, "ann@") {
		r.t.Errorf("ann's profile, revealed: %s", s)
	}
	ask("/state/get?cell=person/profile&key=nobody", 404)
	lines := ask("/state/export?cell=person/profile", 200)
	if strings.Contains(lines, "ann@") || !strings.Contains(lines, `"end":true`) {
		r.t.Errorf("exported: %s", lines)
	}
	if s := ask("/state/export?cell=nothing", 200); !strings.Contains(s, "no such cell") {
		r.t.Errorf("exported: %s", s)
	}
}

func TestCopyLines(t *testing.T) {
	const one = `{"cell":"c","key":"k","value":{"a":"x,y"}}` + "\n"
	f := func(in, format, want, wantErr string) {
		t.Helper()
		var out, status bytes.Buffer
		err := copyLines(strings.NewReader(in), format, &out, &status)
		switch {
		case wantErr == "" && (err != nil || out.String() != want):
			t.Errorf("%q as %s: %q, %v, want %q", in, format, &out, err, want)
		case wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)):
			t.Errorf("%q as %s: %v, want %s", in, format, err, wantErr)
		}
	}
	f(one+`{"end":true,"keys":1}`+"\n", "jsonl", one, "")
	f(one+`{"end":true,"keys":1}`+"\n", "csv", "cell,key,value\nc,k,\"{\"\"a\"\":\"\"x,y\"\"}\"\n", "")
	f(one, "jsonl", "", "cut off")
	f(one+"{", "jsonl", "", "cannot be read")
	f(one+`{"end":true,"error":"cell c is damaged"}`, "jsonl", "", "cell c is damaged")
}
