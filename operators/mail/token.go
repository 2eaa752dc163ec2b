package mail

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// A token is base64url, without padding, of
//
//	version  1 byte, 1
//	use      1 byte: 'u' unsubscribe, 'o' open, 'c' click
//	fields   each with its length in 2 bytes, big-endian
//	mac      16 bytes: the first half of HMAC-SHA256(key, all before)
//
// It carries no time: a link in an old mail works for as long as the key is kept. Half of
// the MAC is the length that RFC 2104 allows at least, and keeps links short.
const (
	tokenVersion      = 1
	tokenMac          = 16
	tokenMax          = 2048 // characters
	keyMin            = 16   // bytes
	keysMax           = 16
	pseudonymMax      = 128
	listMax           = 64
	useLeave     byte = 'u'
	useOpen      byte = 'o'
	useClick     byte = 'c'
)

// errToken is every fault of a token. What is wrong with one is nobody's business.
var errToken = errors.New("token is not one of ours")

// Signer makes and checks the tokens of links. Safe for concurrent use.
type Signer struct {
	keys [][]byte
}

// NewSigner makes a Signer. The first key signs; all are accepted, so that keys can be
// changed while old mails keep working. Each has at least 16 bytes.
func NewSigner(keys ...[]byte) (*Signer, error) {
	if len(keys) == 0 || len(keys) > keysMax {
		return nil, fmt.Errorf("%d keys for links, 1 to %d are allowed", len(keys), keysMax)
	}
	s := &Signer{}
	for i, k := range keys {
		if len(k) < keyMin {
			return nil, fmt.Errorf("key %d for links has %d bytes, at least %d are needed", i, len(k), keyMin)
		}
		s.keys = append(s.keys, append([]byte(nil), k...))
	}
	return s, nil
}

// sign makes a token. Fields that cannot be in one are an error.
func (s *Signer) sign(use byte, fields ...string) (string, error) {
	b := []byte{tokenVersion, use}
	for _, f := range fields {
		if len(f) > tokenMax/2 {
			return "", fmt.Errorf("field of a token has %d bytes, at most %d are allowed", len(f), tokenMax/2)
		}
		b = append(b, byte(len(f)>>8), byte(len(f)))
		b = append(b, f...)
	}
	b = append(b, mac(s.keys[0], b)...)
	text := base64.RawURLEncoding.EncodeToString(b)
	if len(text) > tokenMax {
		return "", fmt.Errorf("token has %d characters, at most %d are allowed", len(text), tokenMax)
	}
	return text, nil
}

// check reads a token of the given use with n fields. It compares in constant time.
func (s *Signer) check(use byte, token string, n int) ([]string, error) {
	if len(token) > tokenMax {
		return nil, errToken
	}
	// Strict, so that one token has one spelling.
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || strings.ContainsAny(token, "\r\n") || len(b) < 2+tokenMac {
		return nil, errToken
	}
	body, sum := b[:len(b)-tokenMac], b[len(b)-tokenMac:]
	good := false
	for _, key := range s.keys {
		good = hmac.Equal(mac(key, body), sum) || good
	}
	if !good || body[0] != tokenVersion || body[1] != use {
		return nil, errToken
	}
	return splitFields(body[2:], n)
}

func splitFields(b []byte, n int) ([]string, error) {
	fields := make([]string, 0, n)
	for range n {
		if len(b) < 2 {
			return nil, errToken
		}
		size := int(b[0])<<8 | int(b[1])
		if len(b)-2 < size {
			return nil, errToken
		}
		fields, b = append(fields, string(b[2:2+size])), b[2+size:]
	}
	if len(b) != 0 {
		return nil, errToken
	}
	return fields, nil
}

func mac(key, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("millrace link\x00")) // this key may never sign anything else into a token
	h.Write(body)
	return h.Sum(nil)[:tokenMac]
}

// Leave is what an unsubscribe token says: this person wants no more of this list. It
// holds a pseudonym and no address.
type Leave struct {
	Person   string // pseudonym
	List     string // "" for all lists
	Decision string // the mail that carried the link
}

// Unsubscribe makes the token of a Leave.
func (s *Signer) Unsubscribe(l Leave) (string, error) {
	if l.Person == "" || len(l.Person) > pseudonymMax || len(l.List) > listMax || len(l.Decision) > idMax {
		return "", errors.New("unsubscribe token needs a pseudonym of at most 128 bytes, a list of at most 64, a decision of at most 128")
	}
	return s.sign(useLeave, l.Person, l.List, l.Decision)
}

// CheckUnsubscribe reads a token made by Unsubscribe.
func (s *Signer) CheckUnsubscribe(token string) (Leave, error) {
	f, err := s.check(useLeave, token, 3)
	if err != nil || f[0] == "" {
		return Leave{}, errToken
	}
	return Leave{Person: f[0], List: f[1], Decision: f[2]}, nil
}

// Track is what a token of an open pixel or of a link says.
type Track struct {
	Person   string // pseudonym
	Decision string
	URL      string // where a click goes; "" in the token of a pixel
}

// Open makes the token of an open pixel.
func (s *Signer) Open(person, decision string) (string, error) {
	if len(person) > pseudonymMax || len(decision) > idMax {
		return "", errors.New("open token needs a pseudonym and a decision of at most 128 bytes")
	}
	return s.sign(useOpen, person, decision)
}

// Click makes the token of a link to an absolute http or https URL.
func (s *Signer) Click(person, decision, url string) (string, error) {
	if len(person) > pseudonymMax || len(decision) > idMax {
		return "", errors.New("click token needs a pseudonym and a decision of at most 128 bytes")
	}
	if err := checkURL(url); err != nil || url == "" {
		return "", errors.New("click token needs an absolute http or https url")
	}
	return s.sign(useClick, person, decision, url)
}

// CheckOpen reads a token made by Open.
func (s *Signer) CheckOpen(token string) (Track, error) {
	f, err := s.check(useOpen, token, 2)
	if err != nil {
		return Track{}, err
	}
	return Track{Person: f[0], Decision: f[1]}, nil
}

// CheckClick reads a token made by Click.
func (s *Signer) CheckClick(token string) (Track, error) {
	f, err := s.check(useClick, token, 3)
	if err != nil || f[2] == "" || checkURL(f[2]) != nil {
		return Track{}, errToken
	}
	return Track{Person: f[0], Decision: f[1], URL: f[2]}, nil
}
