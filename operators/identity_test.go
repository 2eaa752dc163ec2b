package operators

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"millrace/operators/event"
	"millrace/operators/profile"
)

func fullIdentity() *identity {
	d := &identity{}
	for i := range 3 {
		d.adopt(merged{Person: fmt.Sprint("p", 9-i), Arrived: i == 1})
	}
	d.IDs[0].Early = []event.Receipt{
		{Decision: "d", Person: "p7", Effect: "12", Outcome: event.Sent, Subject: "s", Model: "m", Fallback: true, At: -5},
		{Decision: "e", Person: "p7", Outcome: event.Skipped, Reason: "capped", At: 1 << 50},
	}
	return d
}

func TestIdentity(t *testing.T) {
	f := func(d *identity) {
		t.Helper()
		var back identity
		if err := back.DecodeFrom(d.AppendTo(nil)); err != nil || !reflect.DeepEqual(back, *d) {
			t.Fatalf("%+v became %+v: %v", *d, back, err)
		}
	}
	f(&identity{})
	f(&identity{Owner: "p1", At: 1_772_445_600_000})
	d := fullIdentity()
	f(d)
	if d.awaits() != 2 {
		t.Fatalf("%+v", d)
	}
	if i, ok := d.find("p8"); !ok || i != 1 {
		t.Fatalf("found at %d: %v", i, ok)
	}
	if _, ok := d.find("p1"); ok {
		t.Fatal("found who is not there")
	}
	// One more than there is room for changes nothing.
	for i := range maxIDs - 3 {
		if !d.adopt(merged{Person: fmt.Sprint("q", i)}) {
			t.Fatalf("no room for %d", i)
		}
	}
	if d.adopt(merged{Person: "r"}) || len(d.IDs) != maxIDs {
		t.Fatalf("%d ids", len(d.IDs))
	}
	f(d)
}

func TestIdentityRefuses(t *testing.T) {
	f := func(b []byte, want error) {
		t.Helper()
		var d identity
		if err := d.DecodeFrom(b); !errors.Is(err, want) || !reflect.DeepEqual(d, identity{}) {
			t.Fatalf("%v: %v", b, err)
		}
	}
	f([]byte{identitySchema + 1}, profile.ErrNewer)
	whole := fullIdentity().AppendTo(nil)
	for i := range whole {
		f(whole[:i], profile.ErrDamaged)
	}
	f(append(whole, 0), profile.ErrDamaged)
	d := fullIdentity()
	d.IDs[0], d.IDs[1] = d.IDs[1], d.IDs[0]
	f(d.AppendTo(nil), profile.ErrDamaged)
}

func FuzzIdentity(f *testing.F) {
	f.Add((&identity{Owner: "p"}).AppendTo(nil))
	f.Add(fullIdentity().AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d, back identity
		if d.DecodeFrom(b) != nil {
			return
		}
		if err := back.DecodeFrom(d.AppendTo(nil)); err != nil || !reflect.DeepEqual(back, d) {
			t.Fatalf("%+v became %+v: %v", d, back, err)
		}
	})
}
