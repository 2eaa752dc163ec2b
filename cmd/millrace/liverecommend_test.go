package main

import (
	"log/slog"
	"os"
	"testing"

	"millrace/configs"
	"millrace/operators"
	"millrace/operators/recommend"
)

// What clicks taught stands in the data directory and comes back; a file that is damaged
// is left aside; who goes by what is together alone has none of it.
func TestLiveWeights(t *testing.T) {
	dir := t.TempDir()
	shop := func(by string) *configs.Set {
		return &configs.Set{Shop: &configs.Shop{Items: configs.Items{Recommend: by}}}
	}
	open := func() *app {
		return &app{s: settings{files: files{dir}}, log: slog.New(slog.DiscardHandler), lively: liveRecommend{wanted: make(chan struct{})}}
	}
	a := open()
	if a.liveFor(shop("together"), []operators.Journey{{Together: true}}) != nil {
		t.Fatal("nobody asked for it")
	}
	if a.liveFor(shop("together"), []operators.Journey{{Together: true}, {}}) == nil {
		t.Fatal("a journey asked for it")
	}
	live := a.liveFor(shop("hybrid"), nil)
	if live == nil || live != a.liveFor(shop(""), nil) {
		t.Fatal("versions do not share it")
	}
	select {
	case <-a.lively.wanted:
	default:
		t.Fatal("nobody keeps it up to date")
	}
	a.writeWeights()
	if _, err := os.Stat(a.s.weights()); !os.IsNotExist(err) {
		t.Fatalf("nothing was learned, and there is a file: %v", err)
	}
	list := []recommend.Scored{{Item: "a", Facts: recommend.Facts{URL: "https://shop.example/a"}}, {Item: "b", Facts: recommend.Facts{URL: "https://shop.example/b"}}}
	live.Blend.Remember("d1", "cart", list)
	if !live.Blend.Clicked("d1", "https://shop.example/b") {
		t.Fatal("a click taught nothing")
	}
	a.writeWeights()
	learned := func() int { return open().liveFor(shop(""), nil).Blend.Learned()["cart"] }
	if n := learned(); n != 1 {
		t.Fatalf("%d clicks came back", n)
	}
	if err := os.WriteFile(a.s.weights(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := learned(); n != 0 {
		t.Fatalf("%d clicks from a damaged file", n)
	}
}
