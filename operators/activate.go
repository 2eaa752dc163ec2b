package operators

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/privacy"
)

// ActivationSubject is where activations are published: nothing else comes there.
const ActivationSubject = "in.activation"

// Activation is a version of the pipelines as it stands in the log: with all its files, so
// that whoever reads the log again meets the same rules at the same position.
type Activation struct {
	Expect uint64         `json:"expect"` // the number of the version that it replaces, 0 for any
	Hash   string         `json:"hash"`
	By     string         `json:"by"`
	Note   string         `json:"note,omitempty"`
	Bundle configs.Bundle `json:"bundle"`
	Files  string         `json:"files,omitempty"` // see engine.Activation
}

// ErrActivation says that a message is no activation that a program of this data directory
// has published.
var ErrActivation = errors.New("not an activation of this data directory")

// activationMax is the size of the message of an activation: the files of a bundle, each
// character escaped at worst.
const activationMax = 6 << 20

// activationEnvelope is the form of the message.
type activationEnvelope struct {
	Envelope   int             `json:"mr"`
	Kind       string          `json:"kind"`
	MAC        string          `json:"mac"`
	Activation json.RawMessage `json:"activation"`
}

// activationMAC tells activations of this data directory from those that anybody may
// publish who reaches the log.
func activationMAC(names *privacy.Pseudonyms, raw []byte) string {
	return names.Decision("activation", string(raw))
}

// Append appends the message of an activation to dst.
func (a *Activation) Append(dst []byte, names *privacy.Pseudonyms) ([]byte, error) {
	var raw bytes.Buffer
	if err := json.NewEncoder(&raw).Encode(a); err != nil {
		return dst, fmt.Errorf("encode activation: %w", err)
	}
	text := bytes.TrimSpace(raw.Bytes())
	dst = append(dst, `{"mr":1,"kind":"activation","mac":`...)
	dst = strconv.AppendQuote(dst, activationMAC(names, text))
	dst = append(append(append(dst, `,"activation":`...), text...), '}')
	if len(dst) > activationMax {
		return nil, fmt.Errorf("the files make a message of %d bytes, expected at most %d: %w", len(dst), activationMax, configs.ErrBundle)
	}
	return dst, nil
}

// ReadActivation reads what Append wrote with the same pseudonyms.
func ReadActivation(data []byte, names *privacy.Pseudonyms) (*Activation, error) {
	var e activationEnvelope
	if len(data) > activationMax {
		return nil, fmt.Errorf("got %d bytes: %w", len(data), ErrActivation)
	}
	if err := json.Unmarshal(data, &e); err != nil || e.Envelope != 1 || e.Kind != "activation" {
		return nil, fmt.Errorf("the message is unreadable: %w", ErrActivation)
	}
	if !hmac.Equal([]byte(e.MAC), []byte(activationMAC(names, e.Activation))) {
		return nil, fmt.Errorf("the signature is another one: %w", ErrActivation)
	}
	a := new(Activation)
	if err := json.Unmarshal(e.Activation, a); err != nil {
		return nil, fmt.Errorf("the activation is unreadable: %w", ErrActivation)
	}
	if a.Hash != a.Bundle.Hash() {
		return nil, fmt.Errorf("the hash of the files is another one: %w", ErrActivation)
	}
	return a, nil
}

// activation makes the unit of a message on ActivationSubject. It runs ahead of the
// engine's loop, which so finds the new graph built. A message that is no activation of
// ours goes to the dead letters, as any other that cannot be read.
func (d *Decoder) activation(dst []engine.Unit, m *engine.Message) []engine.Unit {
	refuse := func(why string) []engine.Unit {
		return append(dst, engine.Unit{Value: &event.Reject{
			Code: event.BadEnvelope, Detail: why, ReceivedAt: m.Time, Bytes: m.Data[:min(len(m.Data), event.MaxReject)],
		}})
	}
	if d.Activate == nil {
		return refuse("activations are not taken here")
	}
	a, err := ReadActivation(m.Data, d.Names)
	if err != nil {
		return refuse(err.Error())
	}
	return append(dst, engine.Unit{Value: d.Activate(a)})
}
