package privacy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"
)

// SecretSize is the length of the secret in bytes: the key length at which HMAC-SHA256
// gains nothing from more.
const SecretSize = 32

// PseudonymSize is the length of the strings that Person and Visitor answer.
const PseudonymSize = 26

// sum is how many bytes of the HMAC a pseudonym keeps: 128 bits, so that a
// collision among a billion people has a chance of about 10^-21.
const sum = 16

// letters is base32 in lower case, so that pseudonyms sort like their bytes and can
// stand in keys, subjects and file names.
const letters = "0123456789abcdefghijklmnopqrstuv"

// The domains keep equal ids of different meaning apart.
const (
	domainPerson   = 1
	domainVisitor  = 2
	domainDecision = 3
)

// Pseudonyms turns ids into keyed pseudonyms. It is safe for concurrent use: every
// call takes a hash of its own from a pool.
type Pseudonyms struct {
	pool     sync.Pool
	encoding *base32.Encoding
}

// work is what one call needs. It lives in the pool, so that a call allocates
// nothing but its answer.
type work struct {
	mac hash.Hash
	in  []byte
	sum []byte
	out []byte
}

// NewPseudonyms makes pseudonyms from a secret of SecretSize bytes, which it copies.
func NewPseudonyms(secret []byte) (*Pseudonyms, error) {
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("secret of %d bytes, want %d", len(secret), SecretSize)
	}
	key := append([]byte(nil), secret...)
	p := &Pseudonyms{encoding: base32.NewEncoding(letters).WithPadding(base32.NoPadding)}
	p.pool.New = func() any {
		return &work{
			mac: hmac.New(sha256.New, key),
			in:  make([]byte, 0, 128),
			sum: make([]byte, 0, sha256.Size),
			out: make([]byte, 2*sum),
		}
	}
	return p, nil
}

// Person is the pseudonym of a user id: PseudonymSize characters of 0-9 and a-v.
func (p *Pseudonyms) Person(userID string) string {
	return p.one(domainPerson, userID)
}

// Visitor is the pseudonym of an anonymous id. It never equals that of a user with
// the same id.
func (p *Pseudonyms) Visitor(anonymousID string) string {
	return p.one(domainVisitor, anonymousID)
}

// Decision is the id of what the parts name, in 32 hexadecimal digits. Other parts,
// or the same text cut differently, give another id.
func (p *Pseudonyms) Decision(parts ...string) string {
	w := p.pool.Get().(*work)
	w.in = append(w.in[:0], domainDecision)
	for _, part := range parts {
		w.in = binary.LittleEndian.AppendUint32(w.in, uint32(len(part))) //nolint:gosec // parts are ids, far below 4 GiB
		w.in = append(w.in, part...)
	}
	w.digest()
	hex.Encode(w.out, w.sum[:sum])
	out := string(w.out)
	p.pool.Put(w)
	return out
}

// one is the pseudonym of id within a domain.
func (p *Pseudonyms) one(domain byte, id string) string {
	w := p.pool.Get().(*work)
	w.in = append(w.in[:0], domain)
	w.in = append(w.in, id...)
	w.digest()
	p.encoding.Encode(w.out, w.sum[:sum])
	out := string(w.out[:PseudonymSize])
	p.pool.Put(w)
	return out
}

// digest hashes in into sum.
func (w *work) digest() {
	w.mac.Reset()
	w.mac.Write(w.in)
	w.sum = w.mac.Sum(w.sum[:0])
}
