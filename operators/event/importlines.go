package event

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// lineMax bounds one line: as much as a message of the log may hold.
const lineMax = 8 << 20

// lines reads Segment JSON, one event or one batch a line, in the order of the file.
func (im *Importer) lines(in stream) error {
	for n := 1; ; n++ {
		line, long, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s:%d: %w", im.file, n, err)
		}
		done := errors.Is(err, io.EOF)
		if line = bytes.TrimSpace(line); len(line) > 0 || long {
			im.stats.Rows++
			if long {
				err = im.bad(n, "line", "is over 8 MiB")
			} else {
				err = im.line(line, n)
			}
			if err != nil {
				return err
			}
		}
		if done {
			return nil
		}
	}
}

// readLine reads a line of its own; of one that is too long it keeps nothing.
func readLine(in stream) (line []byte, long bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > lineMax {
			long, line = true, nil
		}
		if !long {
			line = append(line, part...)
		}
		if err == nil || !errors.Is(err, bufio.ErrBufferFull) {
			return line, long, err
		}
	}
}

// line yields the events of one line.
func (im *Importer) line(line []byte, n int) error {
	if !valid(line) {
		return im.bad(n, "line", "is not JSON")
	}
	if line[0] != '{' {
		return im.bad(n, "line", "is no object")
	}
	m := members(line)
	if m == nil {
		return im.bad(n, "line", "is nested too deep")
	}
	batch := bytes.TrimSpace(m["batch"])
	if _, typed := m["type"]; typed || len(batch) == 0 || batch[0] != '[' {
		return im.single(line, m, Item{}, n, 0)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(batch, &list); err != nil {
		return im.bad(n, "batch", "is unreadable")
	}
	shared := Item{SentAt: slowValue(m["sentAt"]).s, Context: m["context"], Integrations: m["integrations"]}
	for i, raw := range list {
		if err := im.single(raw, members(raw), shared, n, i); err != nil {
			return err
		}
	}
	return nil
}

// single yields one event. One without messageId gets one that names its place and
// content, so that importing the file twice changes nothing.
func (im *Importer) single(raw []byte, m map[string]json.RawMessage, item Item, n, i int) error {
	if m == nil {
		return im.bad(n, "event", "is no object")
	}
	field := func(name string) val { return slowValue(m[name]) }
	d := &draft{line: n, item: item, raw: raw}
	timestamp, original, user, id := field("timestamp"), field("originalTimestamp"), field("userId"), field("messageId")
	at, _ := ownTime(times{timestamp: &timestamp, original: &original}, 0)
	d.time = at
	var flags Flags
	d.user = identity(&user, &flags)
	if rawID(&id, &flags) == "" {
		key := im.id("line", strconv.Itoa(n), strconv.Itoa(i), string(raw))
		body := bytes.TrimSpace(raw)
		d.raw = append(make([]byte, 0, len(body)+64), body[:len(body)-1]...)
		if len(m) > 0 {
			d.raw = append(d.raw, ',')
		}
		// At the end, since of a repeated key the last one counts.
		d.raw = append(append(append(d.raw, `"messageId":"`...), key...), '"', '}')
	}
	return im.put(d)
}
