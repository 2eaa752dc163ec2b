package configs

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Design is a layout that a mail may have.
type Design struct {
	Name     string   `json:"name" jsonschema:"required,title=a name of lower-case letters and digits and -,pattern=^[a-z][a-z0-9-]*$,maxLength=40" jsonschema_description:"Names the design in decisions and figures."`
	Blocks   []string `json:"blocks" jsonschema:"required,minItems=1,maxItems=6" jsonschema_description:"What stands in the mail, in this order. A short mail has no text and no product sentence."`
	Products int      `json:"products,omitempty" jsonschema:"minimum=1,maximum=6" jsonschema_description:"How many recommended products are shown at most (3)."`
}

// Knowledge is what the shop says of itself and its products: mails say no more.
type Knowledge struct {
	Products map[string]ProductFacts `json:"products,omitempty" jsonschema:"maxProperties=5000" jsonschema_description:"True things about products, by product id."`
	Claims   []Claim                 `json:"claims,omitempty" jsonschema:"maxItems=500" jsonschema_description:"Phrases that are true of some products only."`
	Never    []string                `json:"never,omitempty" jsonschema:"maxItems=1000" jsonschema_description:"Words that the brand does not use."`
	Allow    []string                `json:"allow,omitempty" words:"policies" jsonschema:"maxItems=2" jsonschema_description:"Words of a sector that this shop may use; otherwise no mail makes claims of health or of money."`
	Replies  string                  `json:"replies,omitempty" jsonschema:"enum=no,enum=yes" jsonschema_description:"Whether people read the answers to mails, so that a mail may promise one (no)."`
}

// ProductFacts is what is known of a product.
type ProductFacts struct {
	Attributes []string `json:"attributes" jsonschema:"required,minItems=1,maxItems=20" jsonschema_description:"Short phrases such as oven-safe; a mail copies one of them as it stands."`
}

// Claim is a phrase that needs a reason.
type Claim struct {
	Say  string   `json:"say" jsonschema:"required,minLength=1,maxLength=100" jsonschema_description:"The phrase, such as organic."`
	Only []string `json:"only,omitempty" jsonschema:"maxItems=5000" jsonschema_description:"Ids of the products that it is true of; of none when absent."`
}

// External is a model outside that writes the lines, behind the same rules as our own.
type External struct {
	URL       string        `json:"url" jsonschema:"required,maxLength=900" jsonschema_description:"Address of the chat completions, such as https://host/v1/chat/completions."`
	Model     string        `json:"model" jsonschema:"required,minLength=1,maxLength=100" jsonschema_description:"The model's name there."`
	Key       string        `json:"key,omitempty" jsonschema:"maxLength=900" jsonschema_description:"env:NAME or file:PATH, where the key is; never the key itself."`
	Timeout   time.Duration `json:"timeout,omitempty" jsonschema_description:"Of a call; what is slower is written by our own model (2s)."`
	PerMinute int           `json:"per_minute,omitempty" jsonschema:"minimum=1,maximum=100000" jsonschema_description:"Calls in a minute at most; each part of a mail is one (60)."`
}

// externalKey is where a key may stand.
var externalKey = regexp.MustCompile(`^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$`)

// keyBytesMost is far more than any key has.
const keyBytesMost = 4096

// Secret reads the key from where the file says it is. Errors never hold it.
func (e *External) Secret(lookup func(string) (string, bool)) (string, error) {
	switch {
	case e.Key == "":
		return "", nil
	case strings.HasPrefix(e.Key, "env:"):
		name := strings.TrimPrefix(e.Key, "env:")
		value, ok := lookup(name)
		if !ok || value == "" {
			return "", fmt.Errorf("read key of the external model: environment variable %s is not set", name)
		}
		return strings.TrimSpace(value), nil
	default:
		path := strings.TrimPrefix(e.Key, "file:")
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("read key of the external model: %w", err)
		}
		if info.Size() > keyBytesMost {
			return "", fmt.Errorf("read key of the external model: %s has %d bytes, at most %d", path, info.Size(), keyBytesMost)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read key of the external model: %w", err)
		}
		return strings.TrimSpace(string(text)), nil
	}
}

// blockWords are the blocks of a design, and policyWords what a sector may lift. The
// writer has the same lists, and a test compares them.
func blockWords() []string {
	return []string{"text", "hero", "product", "items", "button", "recommended"}
}
func policyWords() []string { return []string{"health", "finance"} }

// content checks what only the writer's options hold.
func (s *sense) content(c *Content) {
	designs := s.root.get("content", "designs")
	for i, d := range c.Designs {
		at := item(designs, i)
		if at == nil {
			continue
		}
		if j := slices.IndexFunc(c.Designs, func(x Design) bool { return x.Name == d.Name }); j < i {
			s.at(at.get("name"), "content.designs.name", "", "%s stands here twice", cut(d.Name))
		}
		for k, b := range d.Blocks {
			if !slices.Contains(blockWords(), b) {
				s.at(item(at.get("blocks"), k), "content.designs.blocks", nearest(b, blockWords()), "got %s, expected one of %s", cut(b), oneOf(blockWords()))
			} else if slices.Contains(d.Blocks[:k], b) {
				s.at(item(at.get("blocks"), k), "content.designs.blocks", "", "%s stands here twice", cut(b))
			}
		}
		if len(d.Blocks) > 0 && !slices.Contains(d.Blocks, "button") {
			s.at(at.get("blocks"), "content.designs.blocks", "", "has no button, and a mail must lead somewhere")
		}
	}
	if e := c.External; e != nil {
		u, err := url.Parse(e.URL)
		if n := s.root.get("content", "external", "url"); n != nil && (err != nil || u.User != nil || !webPage(e.URL)) {
			s.at(n, "content.external.url", "", "got something else, expected an address such as https://host/v1/chat/completions")
		}
		if n := s.root.get("content", "external", "key"); n != nil && !externalKey.MatchString(e.Key) {
			s.at(n, "content.external.key", "", "got something else, expected env:NAME or file:PATH: a key does not stand in a file of pipelines")
		}
	}
	if k := c.Knowledge; k != nil {
		s.blanks(k.Never, s.root.get("content", "knowledge", "never"), "content.knowledge.never")
		for _, id := range slices.Sorted(maps.Keys(k.Products)) {
			s.blanks(k.Products[id].Attributes, s.root.get("content", "knowledge", "products", id, "attributes"), "content.knowledge.products.attributes")
		}
	}
}
