package operators_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"millrace/configs"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/mail"
	"millrace/state"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata")

// TestScenarios plays each file of testdata in virtual time, on the real parts, and
// compares what came of it. A line of its events is
//
//	10:05 ann add mug 12.90 c1 [happened=10:03] [id=m7]
//
// with the time of arrival, counted in hours and minutes from the first midnight (so
// 34:00 is ten in the morning of the second day). A name that begins with "?" is an
// anonymous visitor. The shop's own lines have "-" for a name: mail down, mail up,
// receipts down, receipts up, handovers down, handovers up, offers down, offers up, stop,
// start, end. The catalogue's lines have "%":
//
//	10:05 % mug price=9.90 stock=3 [happened=10:03] [id=p7]
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for i, file := range files {
		if testing.Short() && i%3 != 0 {
			continue // the short form, under the race detector, plays some: they run one after the other
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			pipelines := []string{"cart-abandonment.yaml"}
			var events string
			files := make(fstest.MapFS)
			want := -1
			for i, f := range a.Files {
				switch f.Name {
				case "events":
					events = string(f.Data)
				case "want":
					want = i
				case "pipelines":
					pipelines = strings.Fields(string(f.Data))
				default: // a pipeline, or the shop, of the scenario's own
					files[f.Name] = &fstest.MapFile{Data: f.Data}
				}
			}
			var got string
			enginetest.Bubble(t, func(t *testing.T) { got = play(t, events, withShipped(t, files), pipelines) })
			if want < 0 {
				a.Files = append(a.Files, txtar.File{Name: "want"})
				want = len(a.Files) - 1
			}
			if *update {
				a.Files[want].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(a.Files[want].Data) {
				t.Errorf("got\n%s\nwant\n%s", got, a.Files[want].Data)
			}
		})
	}
}

// scene is a scenario being played.
type scene struct {
	*world
	begin  time.Time
	now    time.Duration
	users  []string
	serial int
}

// withShipped adds the shipped pipelines that files does not hold.
func withShipped(t *testing.T, files fstest.MapFS) fstest.MapFS {
	t.Helper()
	for _, name := range []string{"shop.yaml", "cart-abandonment.yaml", "post-purchase.yaml", "browse.yaml", "win-back.yaml", "welcome.yaml", "checkout.yaml", "review-request.yaml", "price-drop.yaml", "back-in-stock.yaml"} {
		raw, err := fs.ReadFile(configs.Shipped(), name)
		if err != nil {
			t.Fatal(err)
		}
		if files[name] == nil {
			files[name] = &fstest.MapFile{Data: raw}
		}
	}
	return files
}

// play plays the events and tells what came of them.
func play(t *testing.T, events string, files fs.FS, pipelines []string) string {
	t.Helper()
	s := &scene{world: newWorldOf(t, journeysOf(t, files, pipelines...)), begin: time.Now().UTC().Truncate(24 * time.Hour)}
	defer s.close()
	s.start()
	for line := range strings.SplitSeq(events, "\n") {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			s.line(strings.Fields(line))
		}
	}
	return s.tell()
}

func (s *scene) line(f []string) {
	s.t.Helper()
	at := clock(s.t, f[0])
	if at < s.now {
		s.t.Fatalf("%v goes back in time", f)
	}
	time.Sleep(at - s.now)
	s.now = at
	synctest.Wait()
	if f[1] == "%" {
		s.product(f[2], f[3:])
		return
	}
	if f[1] != "-" {
		s.person(f[1], f[2], f[3:])
		return
	}
	if variant, ok := strings.CutPrefix(strings.Join(f[2:], " "), "guardrail "); ok {
		s.guardrail(variant)
		return
	}
	if f[2] == "hand" {
		s.hand(f[3], f[4])
		return
	}
	switch strings.Join(f[2:], " ") {
	case "mail down":
		s.down.Store(true)
	case "mail up":
		s.down.Store(false)
	case "receipts down":
		s.mute.Store(true)
	case "receipts up":
		s.mute.Store(false)
	case "offers down":
		s.untold.Store(true)
	case "offers up":
		s.untold.Store(false)
	case "handovers down":
		s.held.Store(true)
	case "handovers up":
		s.held.Store(false)
	case "stop":
		s.stop()
	case "start":
		s.start()
	case "end":
	default:
		s.t.Fatalf("%v: the shop knows no such thing", f)
	}
}

// person does one thing that a person can do.
func (s *scene) person(who, verb string, args []string) {
	s.t.Helper()
	s.serial++
	e := object("type", "track", "messageId", "m"+strconv.Itoa(s.serial), "properties", object())
	if v, anonymous := strings.CutPrefix(who, "?"); anonymous {
		e["anonymousId"] = v
	} else {
		e["userId"] = who
		if !slices.Contains(s.users, who) {
			s.users = append(s.users, who)
		}
	}
	var words []string
	traits := object()
	for _, a := range args {
		switch name, value, pair := strings.Cut(a, "="); {
		case !pair:
			words = append(words, a)
		case name == "happened":
			e["timestamp"] = s.begin.Add(clock(s.t, value)).Format(time.RFC3339)
		case name == "id":
			e["messageId"] = value
		case name == "visitor":
			e["anonymousId"] = value
		case name == "consent":
			traits["marketing_consent"] = value == "yes"
		default:
			traits[name] = value
		}
	}
	if verb == "leave" {
		s.leave(who)
		return
	}
	s.verb(e, verb, words)
	if len(traits) > 0 {
		e["traits"] = traits
	}
	s.take(encode(s.t, e))
}

func (s *scene) verb(e map[string]any, verb string, words []string) {
	s.t.Helper()
	product := func(name, price string) map[string]any {
		p, err := strconv.ParseFloat(price, 64)
		s.check(err)
		return object("product_id", name, "name", name, "price", p, "quantity", 1)
	}
	switch verb {
	case "identify":
		e["type"] = "identify"
	case "alias", "merge": // whose name stands first stays
		e["type"], e["previousId"] = verb, words[0]
		if !slices.Contains(s.users, words[0]) {
			s.users = append(s.users, words[0])
		}
	case "view":
		e["event"], e["properties"] = "Product Viewed", product(words[0], words[1])
	case "add", "remove":
		p := product(words[0], words[1])
		p["cart_id"], p["currency"] = words[2], "EUR"
		e["event"], e["properties"] = map[string]string{"add": "Product Added", "remove": "Product Removed"}[verb], p
	case "look":
		e["event"], e["properties"] = "Cart Viewed", object("cart_id", words[0])
	case "checkout":
		e["event"], e["properties"] = "Checkout Started", object("cart_id", words[0])
	case "order":
		e["event"], e["properties"] = "Order Completed", object("order_id", words[0], "revenue", 10, "currency", "EUR",
			"products", []any{product(words[1], "10")})
	case "click", "open": // of the newest mail
		e["event"] = map[string]string{"click": "Email Link Clicked", "open": "Email Opened"}[verb]
		e["properties"] = object("email_id", s.newest(e["userId"].(string)))
	case "refund":
		e["event"], e["properties"] = "Order Refunded", object("order_id", words[0], "total", words[1], "currency", "EUR")
	case "unsubscribe":
		e["event"] = "Unsubscribed"
	default:
		s.t.Fatalf("people do not %q", verb)
	}
}

// guardrail asks to stop a variant of the only experiment, or all of it, as the
// experiment's operator does.
func (s *scene) guardrail(variant string) {
	v := s.Engine.View()
	defer v.Close()
	all, err := s.pipeline.Figures(v)
	s.check(err)
	stop := event.Stop{Experiment: all[0].Experiment + "@" + all[0].Phase, Variant: variant, Metric: "unsubscribe", Reason: "too many", At: time.Now().UnixMilli()}
	if variant == "all" {
		stop.Variant = ""
	}
	body := encode(s.t, stop)
	result, _, err := operators.StopHandler(s.publish)(s.t.Context(), v, engine.Row{Body: body})
	if s.check(err); result != engine.Removed {
		s.t.Fatalf("a stop ended as %d", result)
	}
}

// hand steers the only experiment as a person does.
func (s *scene) hand(kind, variant string) {
	v := s.Engine.View()
	defer v.Close()
	all, err := s.pipeline.Figures(v)
	s.check(err)
	s.check(s.publish(s.t.Context(), "", event.AppendSteer(nil, &event.Steer{
		Experiment: all[0].Experiment + "@" + all[0].Phase, Kind: kind, Variant: variant, By: "ann", At: time.Now().UnixMilli(),
	})))
}

// newest is the newest decision about a person.
func (s *scene) newest(user string) string {
	v := s.Engine.View()
	defer v.Close()
	all, err := s.pipeline.Decisions(v, user)
	s.check(err)
	if len(all) == 0 {
		s.t.Fatalf("nothing was decided about %s", user)
	}
	return all[len(all)-1].ID
}

func clock(t testing.TB, s string) time.Duration {
	t.Helper()
	var h, m int
	if n, err := fmt.Sscanf(s, "%d:%d", &h, &m); n != 2 || err != nil {
		t.Fatalf("%q is not a time", s)
	}
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
}

// at writes a time as the scenario does, with seconds if there are any.
func (s *scene) at(ms int64) string {
	d := time.UnixMilli(ms).Sub(s.begin)
	text := fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
	if sec := d % time.Minute; sec != 0 {
		text += fmt.Sprintf(":%05.2f", sec.Seconds())
	}
	return text
}

// tell writes what became of everything: mails, then people with their decisions.
func (s *scene) tell() string {
	synctest.Wait()
	var b bytes.Buffer
	mails := s.inbox.List(0, 100)
	slices.SortFunc(mails, func(x, y mail.Received) int {
		return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.To, y.To), cmp.Compare(x.ID, y.ID)) // several lanes send at once
	})
	for _, m := range mails {
		fmt.Fprintf(&b, "%s mail to %s", s.at(m.At.UnixMilli()), m.To)
		if m.Copy > 1 {
			fmt.Fprintf(&b, " AGAIN (copy %d)", m.Copy)
		}
		fmt.Fprintln(&b)
	}
	v := s.Engine.View()
	defer v.Close()
	for _, user := range s.users {
		p, known, err := s.pipeline.Person(v, user)
		s.check(err)
		fmt.Fprintf(&b, "\n%s:", user)
		if !known {
			fmt.Fprintln(&b, " nothing is known")
			continue
		}
		merged, err := s.pipeline.Merged(v, user)
		s.check(err)
		if merged.Awaits > 0 {
			fmt.Fprintf(&b, " awaits %d handovers,", merged.Awaits)
		}
		if merged.Into != "" {
			fmt.Fprintf(&b, " is now %s\n", s.nameOf(merged.Into))
			continue
		}
		if merged.Others > 0 {
			fmt.Fprintf(&b, " %d ids, ", merged.Others+1)
		}
		fmt.Fprintf(&b, " %d orders", p.OrderCount())
		for i := range p.Carts {
			if c := &p.Carts[i]; c.Open() {
				fmt.Fprintf(&b, ", cart %s with %d worth %d", c.ID, c.Units(), c.Value())
			}
		}
		if p.Lost.Repeats > 0 {
			fmt.Fprintf(&b, ", %d repeats dropped", p.Lost.Repeats)
		}
		fmt.Fprintln(&b)
		s.why(&b, user)
	}
	s.figures(&b, v)
	st := s.Engine.Stats()
	stored, err := enginetest.Dump(s.Store, state.SpaceTimers)
	s.check(err)
	if int64(len(stored)) != st.Timers {
		s.t.Errorf("%d timers are counted, but stored are %q", st.Timers, stored)
	}
	fmt.Fprintf(&b, "\ntimers %d, outbox %d, without receipt %d, retries %d, dead letters %d\n",
		st.Timers, st.Unresolved, st.Reported, st.Retries, len(s.pipeline.Counters.DeadLetters()))
	for _, code := range slices.Sorted(maps.Keys(s.pipeline.Counters.DeadLetters())) {
		fmt.Fprintf(&b, "dead letter: %s\n", code)
	}
	return b.String()
}

// figures lists what came of the experiments.
func (s *scene) figures(b *bytes.Buffer, v *engine.View) {
	all, err := s.pipeline.Figures(v)
	s.check(err)
	for _, e := range all {
		fmt.Fprintf(b, "\n%s:\n", e.Experiment)
		for _, a := range e.Arms {
			fmt.Fprintf(b, "  %s: %d units", a.Name, a.Units)
			for _, m := range a.Metrics {
				if m.Sum != 0 {
					fmt.Fprintf(b, ", %s %d", m.Name, m.Sum)
				}
			}
			fmt.Fprintln(b)
		}
	}
}

// nameOf is the user whose pseudonym it is.
func (s *scene) nameOf(person string) string {
	for _, user := range s.users {
		if s.names.Person(user) == person {
			return user
		}
	}
	return "nobody we know"
}

// why lists the decisions about a person and what is waited for.
func (s *scene) why(b *bytes.Buffer, user string) {
	v := s.Engine.View()
	defer v.Close()
	all, err := s.pipeline.Decisions(v, user)
	s.check(err)
	for i := range all {
		d := &all[i]
		fmt.Fprintf(b, "  %s %s%s: activity %s, decided %s, ended %s", d.Pipeline, d.CartID, d.OrderID,
			s.at(d.Started), s.at(d.Decided), d.Outcome)
		if d.Outcome != event.Pending {
			fmt.Fprintf(b, " %s", s.at(d.Ended))
		}
		fmt.Fprintf(b, " (%s)", d.Reason)
		if d.Experiment != "" {
			fmt.Fprintf(b, " in %s as %s with %.3g", d.Experiment, d.Variant, d.Propensity)
		}
		if d.WouldSend {
			fmt.Fprint(b, ", would have been sent")
		}
		fmt.Fprintln(b)
	}
	waits, err := s.pipeline.Waiting(v, user)
	s.check(err)
	for _, w := range waits {
		fmt.Fprintf(b, "  waits for %s %s until %s\n", w.Rule, w.About, s.at(w.Due))
	}
}
