package stream

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// splitSlowly is splitBatch by encoding/json.
func splitSlowly(body []byte) (m map[string]json.RawMessage, events []json.RawMessage, ok bool) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if !json.Valid(body) || json.Unmarshal(body, &m) != nil || m == nil {
		return nil, nil, false
	}
	b := m["batch"]
	if len(b) == 0 || b[0] != '[' {
		return m, nil, false
	}
	return m, events, json.Unmarshal(b, &events) == nil
}

// depth is how deep brackets nest, those in strings counted too.
func depth(b []byte) (deepest int) {
	d := 0
	for _, c := range b {
		switch c {
		case '{', '[':
			d++
		case '}', ']':
			d--
		}
		deepest = max(deepest, d)
	}
	return deepest
}

func FuzzSplitBatch(f *testing.F) {
	for _, s := range []string{
		nodeBatch, rudderTrack, `{"batch":[]}`, `{"batch":[1,-0.5e+10,"\u00e9\ud800",null,true,false,{},[]],"writeKey":"k"}`,
		`{"batch":[1],"batch":[2,3]}`, `{"batch":[1],"batch":4}`, `{"b\u0061tch":[{"a":[[{}]]}]}`, "\xef\xbb\xbf{\"batch\":[\"\xff\"]}",
		`{"batch":[01]}`, `{"batch":[1.]}`, `{"batch":[1e]}`, `{"batch":[-]}`, `{"batch":[tru]}`, `{"batch":["\u12g4"]}`, `{"batch":["\`,
		`{"batch":[1,]}`, `{"batch":[,1]}`, `{"a":{"b":1,},"batch":[]}`, `{"":0,"batch":[{"":{"":[]}}]}`, " \t\r\n{ \"batch\" : [ 1 , 2 ] } ",
		`{"writeKey":"a","writeKey":1,"batch":[]}`, `{"context":{"a":1},"sentAt":"x","integrations":null,"batch":[0]}`,
		"{\"\xff\":1,\"batch\":[]}", `{"batch":[]}}`, `{}`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		kept := bytes.Clone(body)
		got, err := splitBatch(body, 1<<20)
		single, singleErr := splitEvent(body)
		if !bytes.Equal(kept, body) {
			t.Fatal("the body was changed")
		}
		if depth(body) > 1000 {
			return // encoding/json has a limit of depth, we have none
		}
		m, events, ok := splitSlowly(body)
		if (err == nil) != ok || (singleErr == nil) != (m != nil) {
			t.Fatalf("%q: we say %v and %v, encoding/json %v, object %v", body, err, singleErr, ok, m != nil)
		}
		if singleErr == nil && !json.Valid(single.events[0]) {
			t.Fatalf("%q: the event is %q", body, single.events[0])
		}
		if !ok {
			return
		}
		if len(got.events) != len(events) || !bytes.Equal(got.sentAt, m["sentAt"]) || !bytes.Equal(got.context, m["context"]) ||
			!bytes.Equal(got.integrations, m["integrations"]) {
			t.Fatalf("%q: got %+v, want %q", body, got, m)
		}
		for i := range events {
			if !bytes.Equal(got.events[i], events[i]) {
				t.Fatalf("%q: event %d is %q, want %q", body, i, got.events[i], events[i])
			}
		}
		var key string
		_ = json.Unmarshal(m["writeKey"], &key)
		if k := stringValue(got.writeKey); k != key {
			t.Fatalf("%q: the key is %q, want %q", body, k, key)
		}
		short, err := splitBatch(body, 1)
		if err != nil || len(short.events) > 1 || (len(short.rest) > 0) != (len(events) > 1) || !json.Valid([]byte("["+string(short.rest)+"]")) {
			t.Fatalf("%q: cut short: %+v, %v", body, short, err)
		}
	})
}

func BenchmarkSplitBatch(b *testing.B) {
	body := []byte(`{"batch":[` + strings.Repeat(rudderTrack+",", 49) + rudderTrack + `]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := splitBatch(body, 2500); err != nil {
			b.Fatal(err)
		}
	}
}
