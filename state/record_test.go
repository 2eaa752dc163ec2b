package state

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRecordModel compares a record with a list, over several epochs in the same memory, and what
// a segment is written with: keys and values one after the other.
func TestRecordModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Record{}
		for range rapid.IntRange(1, 4).Draw(t, "epochs") {
			r.Reset()
			var want []string
			var body []byte
			for k := range rapid.IntRange(0, 40).Draw(t, "changes") {
				key := fmt.Sprint("key", k)
				value := strings.Repeat(string(rune('a'+k%26)), rapid.SampledFrom([]int{0, 1, 100, oftenBytes, chunkBytes / 3, chunkBytes + 7}).Draw(t, "size"))
				body = append(body, key...)
				switch rapid.IntRange(0, 3).Draw(t, "how") {
				case 0:
					r.Delete([]byte(key))
					want = append(want, key+" gone")
					continue
				case 1:
					r.Put([]byte(key), []byte(value))
				case 2:
					r.Room(len(value) + len(key))
					fallthrough
				default:
					if n := r.PutFunc([]byte(key), func(b []byte) []byte { return append(b, value...) }); n != len(value) {
						t.Fatalf("%d bytes are %d", len(value), n)
					}
				}
				body = append(body, value...)
				want = append(want, key+"="+value)
			}
			var got []string
			r.Each(func(key, value []byte, removed bool) {
				if removed {
					got = append(got, string(key)+" gone")
					return
				}
				got = append(got, string(key)+"="+string(value))
			})
			if a, b := strings.Join(got, ";"), strings.Join(want, ";"); a != b {
				t.Fatalf("%d changes, want %d: %.200s, want %.200s", len(got), len(want), a, b)
			}
			var all []byte
			for c := range r.chunks() {
				all = append(all, c...)
			}
			if !bytes.Equal(all, body) || r.Len() != len(want) || r.Bytes() != len(body) {
				t.Fatalf("%d bytes of %d changes, want %d of %d", r.Bytes(), r.Len(), len(body), len(want))
			}
		}
	})
}
