package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millrace/operators/event"
)

// Every protocol step at which the link may drop, what comes of it under both policies,
// and how many mails the server has in the end.
func TestSendDrop(t *testing.T) {
	f := func(stage string, keep bool, policy Policy, first, mails string) {
		t.Helper()
		inbox, pipe := serve(t, InboxOptions{})
		if err := inbox.Script(Fault{Stage: stage, Drop: true, Keep: keep, Times: 1}); err != nil {
			t.Fatal(err)
		}
		j := journal(t, t.TempDir(), JournalOptions{NoSync: true})
		s := NewSender(dialled(t, pipe, SMTPOptions{}), j, SenderOptions{})
		job := jobFor(t, "d1")
		job.Policy = policy
		got := outcome(s.Send(t.Context(), job))
		if got != first {
			t.Fatalf("drop at %s, keep %t, policy %d: got %s, want %s", stage, keep, policy, got, first)
		}
		again := outcome(s.Send(t.Context(), job)) // as the outbox would
		if first != "retry" && again != first || first == "retry" && again != "sent" {
			t.Fatalf("drop at %s, policy %d: second time %s after %s", stage, policy, again, first)
		}
		if n := strings.Repeat("m", int(inbox.Stats().Mails)); n != mails {
			t.Fatalf("drop at %s, keep %t, policy %d: the server has %q mails, want %q", stage, keep, policy, n, mails)
		}
	}
	for _, policy := range []Policy{AtMostOnce, AtLeastOnce} {
		// Before the final dot: tried again, sent once, whatever the policy.
		f(StageDial, false, policy, "retry", "m")
		f(StageHello, false, policy, "retry", "m")
		f(StageMail, false, policy, "retry", "m")
		f(StageRcpt, false, policy, "retry", "m")
		f(StageData, false, policy, "retry", "m")
		f(StageBody, false, policy, "retry", "m")
		// After the answer: sent.
		f(StageDone, false, policy, "sent", "m")
	}
	// After the dot, before the answer: unknown, whether or not the server kept it.
	f(StageDot, true, AtMostOnce, "unknown", "m")
	f(StageDot, false, AtMostOnce, "unknown", "")
	// At least once: the second copy is the price, and it carries the same Message-ID.
	f(StageDot, true, AtLeastOnce, "retry", "mm")
	f(StageDot, false, AtLeastOnce, "retry", "m")
}

// outcome is a Send in a word.
func outcome(r Result, err error) string {
	var retry *RetryError
	switch {
	case errors.As(err, &retry):
		return "retry"
	case err != nil:
		return "error: " + err.Error()
	default:
		return r.Receipt.Outcome.String()
	}
}

func TestSendAnswers(t *testing.T) {
	f := func(fault Fault, want, reason, bounce string) {
		t.Helper()
		inbox, pipe := serve(t, InboxOptions{})
		if err := inbox.Script(fault); err != nil {
			t.Fatal(err)
		}
		j := journal(t, t.TempDir(), JournalOptions{NoSync: true})
		s := NewSender(dialled(t, pipe, SMTPOptions{}), j, SenderOptions{})
		r, err := s.Send(t.Context(), jobFor(t, "d1"))
		text := r.Receipt.Reason
		if err != nil {
			text = err.Error()
		}
		if got := outcome(r, err); got != want || !strings.Contains(text, reason) || r.Bounce != bounce {
			t.Fatalf("%+v: got %s, %q, bounce %q; want %s, %q, %q", fault, got, text, r.Bounce, want, reason, bounce)
		}
		if strings.Contains(text, "ann") || strings.Contains(text, "example.com") {
			t.Fatalf("the address is in %q", text)
		}
		if inbox.Stats().Mails != 0 {
			t.Fatalf("%+v: a refused mail was kept", fault)
		}
		// Whatever was answered, another mail goes through the same sender.
		if err := inbox.Script(); err != nil {
			t.Fatal(err)
		}
		if got := outcome(s.Send(t.Context(), jobFor(t, "d2"))); got != "sent" {
			t.Fatalf("%+v: the next mail ended as %s", fault, got)
		}
	}
	f(Fault{Stage: StageMail, Code: 451}, "retry", "temporary at mail: 451 4.0.0", "")
	f(Fault{Stage: StageMail, Code: 550, Enhanced: [3]int{5, 7, 26}}, "skipped", "permanent at mail: 550 5.7.26", "block")
	f(Fault{Stage: StageMail, Code: 530}, "retry", "not sent at mail: 530", "")
	f(Fault{Stage: StageMail, Code: 421}, "retry", "temporary at mail: 421", "")
	f(Fault{Stage: StageHello, Code: 550}, "retry", "not sent at hello: 550", "")
	f(Fault{Stage: StageRcpt, Code: 450, Enhanced: [3]int{4, 2, 1}}, "retry", "temporary at rcpt: 450 4.2.1", "")
	f(Fault{Stage: StageRcpt, Code: 550, Enhanced: [3]int{5, 1, 1}}, "skipped", "permanent at rcpt: 550 5.1.1", "hard")
	f(Fault{Stage: StageRcpt, Code: 552, Enhanced: [3]int{5, 2, 2}}, "skipped", "permanent at rcpt: 552 5.2.2", "soft")
	f(Fault{Stage: StageData, Code: 451}, "retry", "temporary at data: 451 4.0.0", "")
	f(Fault{Stage: StageData, Code: 554}, "skipped", "permanent at data: 554 5.0.0", "soft")
	f(Fault{Stage: StageDot, Code: 452, Enhanced: [3]int{4, 3, 1}}, "retry", "temporary at dot: 452 4.3.1", "")
	f(Fault{Stage: StageDot, Code: 421}, "retry", "temporary at dot: 421", "")
	f(Fault{Stage: StageDot, Code: 554, Enhanced: [3]int{5, 6, 0}}, "skipped", "permanent at dot: 554 5.6.0", "block")
}

// A temporary refusal of the final dot is not taken for a lost answer: it is tried again
// with the same bytes, under AtMostOnce too, also by a later process.
func TestSendRetryAfterDot(t *testing.T) {
	inbox, pipe := serve(t, InboxOptions{})
	if err := inbox.Script(Fault{Stage: StageDot, Code: 451, Times: 2}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for try, want := range []string{"retry", "retry", "sent", "sent"} {
		j := journal(t, dir, JournalOptions{})
		s := NewSender(dialled(t, pipe, SMTPOptions{}), j, SenderOptions{})
		job := jobFor(t, "d1")
		if try > 0 {
			job.Render = func(context.Context) (Letter, error) {
				return Letter{}, errors.New("rendered twice")
			}
		}
		if got := outcome(s.Send(t.Context(), job)); got != want {
			t.Fatalf("try %d: got %s, want %s", try, got, want)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := inbox.Stats(); got.Mails != 1 || got.Duplicates != 0 {
		t.Fatalf("the inbox has %d mails, %d duplicates", got.Mails, got.Duplicates)
	}
	m, _ := inbox.Open(1)
	if want := render(t, sample("d1")); !bytes.Equal(m.Raw, want) {
		t.Fatalf("the mail has other bytes than the journal:\n%s", m.Raw)
	}
}

// The process ends at each named step; the next process goes on from the journal.
func TestSendCrash(t *testing.T) {
	type crash struct{}
	f := func(step string, policy Policy, want string, mails int64) {
		t.Helper()
		inbox, pipe := serve(t, InboxOptions{})
		dir := t.TempDir()
		job := jobFor(t, "d1")
		job.Policy = policy
		j := journal(t, dir, JournalOptions{})
		smtp := dialled(t, pipe, SMTPOptions{})
		dying := NewSender(smtp, j, SenderOptions{Step: func(name string) {
			if name == step {
				panic(crash{})
			}
		}})
		func() {
			defer func() {
				if _, ok := recover().(crash); !ok {
					t.Fatalf("step %s was never met", step)
				}
			}()
			_, _ = dying.Send(t.Context(), job)
		}()
		copied := copyDir(t, dir) // what the next process finds
		next := journal(t, copied, JournalOptions{})
		s := NewSender(dialled(t, pipe, SMTPOptions{}), next, SenderOptions{})
		for range 3 {
			if got := outcome(s.Send(t.Context(), job)); got != want {
				t.Fatalf("crash at %s, policy %d: got %s, want %s", step, policy, got, want)
			}
		}
		if got := inbox.Stats().Mails; got != mails {
			t.Fatalf("crash at %s, policy %d: the server has %d mails, want %d", step, policy, got, mails)
		}
	}
	// Before the dot is about to leave: sent once, as if nothing had been.
	f("before-journal", AtMostOnce, "sent", 1)
	f("after-journal", AtMostOnce, "sent", 1)
	f("before-journal", AtLeastOnce, "sent", 1)
	f("after-journal", AtLeastOnce, "sent", 1)
	// Once the outcome is kept, it is not done again.
	f("before-receipt", AtMostOnce, "sent", 1)
	f("before-receipt", AtLeastOnce, "sent", 1)
	// At the dot.
	f("before-dot", AtMostOnce, "unknown", 0)
	f("before-dot", AtLeastOnce, "sent", 1)
}

// The process ends at each named step, and then the mail is to be held back: one that was
// sent, or may have been, does not end as skipped.
func TestSendCrashThenHold(t *testing.T) {
	f := func(step, want string, state State) {
		t.Helper()
		_, pipe := serve(t, InboxOptions{})
		dir := t.TempDir()
		job := jobFor(t, "d1")
		var copied string
		dying := NewSender(dialled(t, pipe, SMTPOptions{}), journal(t, dir, JournalOptions{}), SenderOptions{Step: func(name string) {
			if name == step {
				copied = copyDir(t, dir)
			}
		}})
		job.Hold = func() string { return "" }
		if got := outcome(dying.Send(t.Context(), job)); got != "sent" {
			t.Fatalf("got %s", got)
		}
		job.Hold = func() string { return "ordered" }
		next := journal(t, copied, JournalOptions{})
		s := NewSender(dialled(t, pipe, SMTPOptions{}), next, SenderOptions{})
		if got := outcome(s.Send(t.Context(), job)); got != want {
			t.Fatalf("crash at %s: got %s, want %s", step, got, want)
		}
		if e, _ := next.Lookup("d1"); e.State != state {
			t.Fatalf("crash at %s: the journal says %s, want %s", step, e.State, state)
		}
	}
	f("before-journal", "skipped", 0)
	f("after-journal", "skipped", Decided)
	f("before-dot", "unknown", Decided)
	f("after-dot", "unknown", Decided)
	f("before-receipt", "sent", Decided)
}

// The process ends between the dot and the outcome. The server takes the mail at its
// leisure, so its count is waited for.
func TestSendCrashAfterDot(t *testing.T) {
	f := func(policy Policy, want string, mails int) {
		t.Helper()
		inbox, pipe := serve(t, InboxOptions{})
		got := make(chan Received, 2)
		defer inbox.Watch(func(r Received) { got <- r })()
		dir := t.TempDir()
		j := journal(t, dir, JournalOptions{})
		var copied string
		s := NewSender(dialled(t, pipe, SMTPOptions{}), j, SenderOptions{Step: func(name string) {
			if name == "after-dot" {
				copied = copyDir(t, dir)
			}
		}})
		job := jobFor(t, "d1")
		job.Policy = policy
		if got := outcome(s.Send(t.Context(), job)); got != "sent" {
			t.Fatalf("got %s", got)
		}
		next := journal(t, copied, JournalOptions{})
		again := NewSender(dialled(t, pipe, SMTPOptions{}), next, SenderOptions{})
		if got := outcome(again.Send(t.Context(), job)); got != want {
			t.Fatalf("policy %d: got %s, want %s", policy, got, want)
		}
		for range mails {
			<-got
		}
		if stats := inbox.Stats(); stats.Mails != int64(mails) || stats.Duplicates != int64(mails-1) {
			t.Fatalf("policy %d: %+v, want %d mails", policy, stats, mails)
		}
	}
	f(AtMostOnce, "unknown", 1)
	f(AtLeastOnce, "sent", 2)
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(filepath.Join(to, "copy"), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(to, "copy")
}

func TestSendHeldBack(t *testing.T) {
	f := func(onlyTo, suppressed, list, want, reason string) {
		t.Helper()
		inbox, pipe := serve(t, InboxOptions{})
		p, err := ParsePattern(onlyTo)
		if err != nil {
			t.Fatal(err)
		}
		s := NewSender(dialled(t, pipe, SMTPOptions{}), journal(t, t.TempDir(), JournalOptions{NoSync: true}),
			SenderOptions{OnlyTo: p, Suppressed: func(person, list string) bool { return person == "p-ann" && list == suppressed && list != "" }})
		job := jobFor(t, "d1")
		job.List = list
		r, err := s.Send(t.Context(), job)
		if got := outcome(r, err); got != want || r.Receipt.Reason != reason {
			t.Fatalf("only-to %q, suppressed %q: got %s, %q", onlyTo, suppressed, got, r.Receipt.Reason)
		}
		if sent := inbox.Stats().Mails; (sent == 1) != (want == "sent") {
			t.Fatalf("only-to %q: %d mails", onlyTo, sent)
		}
	}
	f("", "", "cart", "sent", "")
	f("*@example.com", "", "cart", "sent", "")
	f("bob@*, ANN@example.*", "", "cart", "sent", "")
	f("*@example.org", "", "cart", "skipped", ReasonOnlyTo)
	f("nn@example.com", "", "cart", "skipped", ReasonOnlyTo)
	f("", "cart", "cart", "skipped", ReasonUnsubscribed)
	f("", "cart", "news", "sent", "")
	f("", "cart", "", "sent", "")
}

// An unsubscribe that comes while the mail is on the wire still holds it back: the last
// look is just before the final dot.
func TestSendUnsubscribedOnTheWire(t *testing.T) {
	inbox, pipe := serve(t, InboxOptions{})
	set, err := OpenSuppressed(filepath.Join(t.TempDir(), "suppressed"), SuppressOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = set.Close() }()
	asked := 0
	s := NewSender(dialled(t, pipe, SMTPOptions{}), journal(t, t.TempDir(), JournalOptions{}), SenderOptions{
		Suppressed: func(person, list string) bool {
			if asked++; asked == 3 {
				if err := set.Add("p-ann", AllLists); err != nil {
					t.Error(err)
				}
			}
			return set.Contains(person, list)
		}})
	for range 2 {
		r, err := s.Send(t.Context(), jobFor(t, "d1"))
		if got := outcome(r, err); got != "skipped" || r.Receipt.Reason != ReasonUnsubscribed {
			t.Fatalf("got %s, %q", got, r.Receipt.Reason)
		}
	}
	if n := inbox.Stats().Mails; n != 0 || asked != 3 {
		t.Fatalf("%d mails were sent, asked %d times", n, asked)
	}
	if got := outcome(s.Send(t.Context(), jobFor(t, "d2"))); got != "skipped" {
		t.Fatalf("a mail that waited ended as %s", got)
	}
}

func TestSendRenderFaults(t *testing.T) {
	_, pipe := serve(t, InboxOptions{})
	j := journal(t, t.TempDir(), JournalOptions{})
	s := NewSender(dialled(t, pipe, SMTPOptions{}), j, SenderOptions{})
	boom := errors.New("boom")
	job := jobFor(t, "d1")
	job.Render = func(context.Context) (Letter, error) { return Letter{}, boom }
	if _, err := s.Send(t.Context(), job); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	job.Render = func(context.Context) (Letter, error) {
		return Letter{From: "shop@shop.example", To: "ann@bücher.example", Bytes: []byte("x")}, nil
	}
	r, err := s.Send(t.Context(), job)
	if got := outcome(r, err); got != "skipped" || !strings.Contains(r.Receipt.Reason, "punycode") || strings.Contains(r.Receipt.Reason, "bücher") {
		t.Fatalf("got %s, %q", got, r.Receipt.Reason)
	}
	job.Decision = "../../etc"
	if _, err := s.Send(t.Context(), job); err == nil {
		t.Fatal("a decision id with slashes was taken")
	}
}

func TestSendMailDir(t *testing.T) {
	inbox, pipe := serve(t, InboxOptions{})
	dir := filepath.Join(t.TempDir(), "mails")
	s := NewSender(dialled(t, pipe, SMTPOptions{}), journal(t, t.TempDir(), JournalOptions{}), SenderOptions{MailDir: dir})
	if err := inbox.Script(Fault{Stage: StageDot, Drop: true, Times: 1}); err != nil {
		t.Fatal(err)
	}
	f := func(id, want string, file bool) {
		t.Helper()
		if got := outcome(s.Send(t.Context(), jobFor(t, id))); got != want {
			t.Fatalf("%s: got %s", id, got)
		}
		b, err := os.ReadFile(s.File(id))
		if (err == nil) != file || file && !bytes.Equal(b, render(t, sample(id))) {
			t.Fatalf("%s: file is there %t, want %t", id, err == nil, file)
		}
	}
	f("lost", "unknown", false)
	f("good", "sent", true)
	info, err := os.Stat(s.File("good"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("file: %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Fatalf("left behind: %d files", len(left))
	}
}

// The waits double, have a limit, and end: with too many refusals, or with age.
func TestSendBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox, pipe := serve(t, InboxOptions{})
		if err := inbox.Script(Fault{Stage: StageRcpt, Code: 450}); err != nil {
			t.Fatal(err)
		}
		s := NewSender(dialled(t, pipe, SMTPOptions{}), journal(t, t.TempDir(), JournalOptions{NoSync: true}),
			SenderOptions{RetryFirst: time.Minute, RetryMost: 10 * time.Minute, AttemptsMax: 7})
		var waits []time.Duration
		start := time.Now()
		for {
			r, err := s.Send(t.Context(), jobFor(t, "d1"))
			var retry *RetryError
			if !errors.As(err, &retry) {
				if got := outcome(r, err); got != "skipped" || !strings.HasPrefix(r.Receipt.Reason, "given up after 7 tries: temporary at rcpt: 450") {
					t.Fatalf("got %s, %q", got, r.Receipt.Reason)
				}
				break
			}
			waits = append(waits, retry.After)
			time.Sleep(retry.After)
		}
		for i, w := range waits {
			low := min(time.Minute<<i, 10*time.Minute)
			if w < low || w > low*5/4 {
				t.Fatalf("wait %d is %s, want %s and up to a quarter more", i, w, low)
			}
		}
		if len(waits) != 6 || time.Since(start) < 30*time.Minute {
			t.Fatalf("%d waits, %s", len(waits), time.Since(start))
		}
	})
}

// A server that is away for a day costs no mail; one that is away for good does.
func TestSendAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox, pipe := serve(t, InboxOptions{})
		away := Fault{Stage: StageDial, Drop: true}
		if err := inbox.Script(away); err != nil {
			t.Fatal(err)
		}
		f := func(id string, back time.Duration, want string) {
			t.Helper()
			s := NewSender(dialled(t, pipe, SMTPOptions{}), journal(t, t.TempDir(), JournalOptions{NoSync: true}), SenderOptions{})
			start := time.Now()
			for {
				r, err := s.Send(t.Context(), jobFor(t, id))
				var retry *RetryError
				if !errors.As(err, &retry) {
					if got := outcome(r, err); got != want {
						t.Fatalf("%s: got %s, %q after %s", id, got, r.Receipt.Reason, time.Since(start))
					}
					return
				}
				time.Sleep(retry.After)
				if time.Since(start) > back {
					if err := inbox.Script(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		f("d1", 24*time.Hour, "sent")
		if err := inbox.Script(away); err != nil {
			t.Fatal(err)
		}
		f("d2", 1000*time.Hour, "skipped")
	})
}

// The answer to the dot does not come: unknown, after ReplyTimeout and not before.
func TestSendReplyTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox, pipe := serve(t, InboxOptions{})
		f := func(stage, want string, wait time.Duration) {
			t.Helper()
			if err := inbox.Script(Fault{Stage: stage, Delay: time.Hour, Times: 1}); err != nil {
				t.Fatal(err)
			}
			s := NewSender(dialled(t, pipe, SMTPOptions{}), journal(t, t.TempDir(), JournalOptions{NoSync: true}), SenderOptions{})
			start := time.Now()
			if got := outcome(s.Send(t.Context(), jobFor(t, "d-"+stage))); got != want || time.Since(start) != wait {
				t.Fatalf("silence at %s: got %s after %s, want %s after %s", stage, got, time.Since(start), want, wait)
			}
		}
		f(StageDial, "retry", 2*time.Minute)
		f(StageHello, "retry", 2*time.Minute)
		f(StageMail, "retry", 2*time.Minute)
		f(StageRcpt, "retry", 2*time.Minute)
		f(StageData, "retry", 2*time.Minute)
		f(StageBody, "retry", 3*time.Minute)
		f(StageDot, "unknown", 10*time.Minute)
	})
}

// A context that ends stops a mail before its dot, and never between dot and answer.
func TestSendContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox, pipe := serve(t, InboxOptions{})
		f := func(stage, want string) {
			t.Helper()
			if err := inbox.Script(Fault{Stage: stage, Delay: time.Minute, Times: 1}); err != nil {
				t.Fatal(err)
			}
			s := NewSender(dialled(t, pipe, SMTPOptions{}), journal(t, t.TempDir(), JournalOptions{NoSync: true}), SenderOptions{})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			r, err := s.Send(ctx, jobFor(t, "d-"+stage))
			if got := outcome(r, err); got != want || err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("context ends at %s: got %s, %v, want %s", stage, got, err, want)
			}
		}
		f(StageDial, "retry")
		f(StageHello, "retry")
		f(StageMail, "retry")
		f(StageRcpt, "retry")
		f(StageData, "retry")
		f(StageDot, "sent")
	})
}

// Many at once over few connections, the same decision twice at a time: each mail once.
func TestSendConcurrent(t *testing.T) {
	inbox, pipe := serve(t, InboxOptions{})
	if err := inbox.Script(Fault{Stage: StageRcpt, Code: 451, Times: 20}, Fault{Stage: StageBody, Drop: true, Times: 20},
		Fault{Stage: StageMail, Drop: true, Times: 20}, Fault{Stage: StageDone, Drop: true, Times: 20}); err != nil {
		t.Fatal(err)
	}
	j := journal(t, t.TempDir(), JournalOptions{SegmentBytes: 20000, KeepBytes: 40000})
	s := NewSender(dialled(t, pipe, SMTPOptions{Connections: 3, PerConnection: 7}), j, SenderOptions{AttemptsMax: 1000})
	const mails = 60
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for n := range mails {
				id := fmt.Sprintf("d%02d", (n+worker*7)%mails)
				for {
					r, err := s.Send(t.Context(), jobFor(t, id))
					if errors.Is(err, ErrInFlight) {
						break
					}
					if _, ok := errors.AsType[*RetryError](err); ok {
						continue
					}
					if err != nil || r.Receipt.Outcome != event.Sent {
						t.Errorf("%s: %v, %v", id, r.Receipt, err)
					}
					break
				}
			}
		})
	}
	wg.Wait()
	if got := inbox.Stats(); got.Mails != mails || got.Duplicates != 0 || got.Faults != 80 {
		t.Fatalf("%+v, want %d mails without duplicates and all 80 faults", got, mails)
	}
}
