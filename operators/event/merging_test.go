package event

import (
	"reflect"
	"testing"
)

func TestMergeCall(t *testing.T) {
	f := func(raw, user, previous string, flags Flags) {
		t.Helper()
		got := NewDecoder(Options{}).DecodeAll(nil, []byte(raw), received)
		if len(got) != 1 || got[0].Event == nil {
			t.Fatalf("%s: %s", raw, show(got))
		}
		e := got[0].Event
		if e.Kind != Alias || e.UserID != user || e.PreviousID != previous || e.Flags&AliasSelf != flags {
			t.Fatalf("%s: got %+v", raw, *e)
		}
		checkPaths(t, []byte(raw))
	}
	// As an alias.
	f(`{"type":"merge","userId":"new","previousId":"old","messageId":"m"}`, "new", "old", 0)
	f(`{"type":"Merge","userId":7,"previousId":"old","messageId":"m"}`, "7", "old", 0)
	f(`{"type":"merge","userId":"u","previousId":"u","messageId":"m"}`, "u", "", AliasSelf)
	// As RudderStack writes it: the first stays.
	f(`{"type":"merge","mergeProperties":[{"type":"userId","value":"new"},{"type":"userId","value":"old"}],"messageId":"m"}`, "new", "old", 0)
	f(`{"type":"merge","mergeProperties":[{"type":"user_id","value":12},{"value":"o\u006cd","type":"USER_ID"}],"messageId":"m"}`, "12", "old", 0)
	f(`{"type":"merge","mergeProperties":[{"type":"userId","value":"u"},{"type":"userId","value":"u"}],"messageId":"m"}`, "u", "", AliasSelf)
	// Of a visitor and a person the person stays, wherever he stands.
	f(`{"type":"merge","mergeProperties":[{"type":"anonymousId","value":"a"},{"type":"userId","value":"u"}],"messageId":"m"}`, "u", "a", 0)
	f(`{"type":"merge","mergeProperties":[{"type":"userId","value":"u"},{"type":"anonymous_id","value":"0"}],"messageId":"m"}`, "u", "0", 0)
	// Ids that are said outright count.
	f(`{"type":"merge","userId":"n","previousId":"o","mergeProperties":[{"type":"email","value":"x"}],"messageId":"m"}`, "n", "o", 0)
	// An alias has no such property.
	f(`{"type":"alias","userId":"n","mergeProperties":[],"messageId":"m"}`, "n", "", 0)
}

func TestMergeRefused(t *testing.T) {
	f := func(raw string, want Code) {
		t.Helper()
		got := NewDecoder(Options{}).DecodeAll(nil, []byte(raw), received)
		if len(got) != 1 || got[0].Reject == nil || got[0].Reject.Code != want {
			t.Fatalf("%s: got %s, want %s", raw, show(got), want)
		}
		checkPaths(t, []byte(raw))
	}
	f(`{"type":"merge","userId":"u"}`, BadMerge)
	f(`{"type":"merge"}`, NoIdentity)
	f(`{"type":"merge","previousId":"old"}`, NoIdentity)
	f(`{"type":"merge","mergeProperties":{}}`, NoIdentity)
	f(`{"type":"merge","mergeProperties":[]}`, BadMerge)
	f(`{"type":"merge","mergeProperties":["a","b"]}`, BadMerge)
	f(`{"type":"merge","mergeProperties":[{"type":"userId","value":"u"}]}`, BadMerge)
	f(`{"type":"merge","mergeProperties":[{"type":"userId","value":"u"},{"type":"userId","value":"guest"}]}`, BadMerge)
	f(`{"type":"merge","mergeProperties":[{"type":"email","value":"a@b.example"},{"type":"userId","value":"u"}]}`, BadMerge)
	f(`{"type":"merge","mergeProperties":[{"type":"anonymousId","value":"a"},{"type":"anonymousId","value":"b"}]}`, BadMerge)
	f(`{"mr":1,"kind":"handover"}`, BadEnvelope)
	f(`{"mr":1,"kind":"handover","handover":7}`, BadEnvelope)
	f(`{"mr":1,"kind":"handover","handover":{"id":"i","from":"a","to":"a"}}`, BadEnvelope)
	f(`{"mr":1,"kind":"handover","handover":{"id":"i","from":"a","parts":[]}}`, BadEnvelope)
}

func TestHandover(t *testing.T) {
	h := Handover{ID: "i", From: "a", To: "b", Effect: "7", At: 5}
	h.Put("profile", []byte{1, 0, 255})
	h.Put("trigger", nil)
	raw := []byte(`{"id":"i","from":"a","to":"b","effect":"7","at":5,"parts":[{"name":"profile","data":"AQD/"},{"name":"trigger","data":null}]}`)
	got := NewDecoder(Options{}).DecodeAll(nil, AppendHandover(nil, raw), received)
	if len(got) != 1 || got[0].Handover == nil || !reflect.DeepEqual(*got[0].Handover, h) {
		t.Fatalf("got %s", show(got))
	}
	if string(h.Part("profile")) != "\x01\x00\xff" || h.Part("nobody's") != nil {
		t.Fatalf("%+v", h)
	}
}
