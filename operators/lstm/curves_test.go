package lstm

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

func TestRegistryKeepsCurves(t *testing.T) {
	r := NewRegistry(t.TempDir())
	file, err := model(t, Config{Vocab: 5, Embed: 2, Hidden: 2}, 1).Encode(Float32)
	if err != nil {
		t.Fatal(err)
	}
	card, err := r.Add(file, Card{Name: "subject"})
	if err != nil {
		t.Fatal(err)
	}
	if points, err := r.Curves("subject", card.Version); err != nil || points != nil {
		t.Fatalf("%v, %v before any were kept", points, err)
	}
	var b bytes.Buffer
	w, err := NewCurveWriter(&b, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := w.Write(Point{Step: int64(i), Tag: "loss", Value: float32(3 - i), At: time.Unix(2, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.KeepCurves("subject", card.Version, b.Bytes()); err != nil {
		t.Fatal(err)
	}
	points, err := r.Curves("subject", card.Version)
	if err != nil || len(points) != 3 || points[2].Value != 1 || points[2].Tag != "loss" {
		t.Fatalf("%+v, %v", points, err)
	}
	if _, _, err := r.Load("subject", card.Version); err != nil { // the model is what it was
		t.Error(err)
	}
	if err := r.KeepCurves("subject", "subject-00000000", nil); !errors.Is(err, ErrNoModel) {
		t.Error(err)
	}
	if err := r.KeepCurves("subject", card.Version, make([]byte, curveMost+1)); err == nil {
		t.Error("a file beyond the limit was kept")
	}
}
