package mail

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// This file is the part of Sender that also writes mails as files. A mail is written
// under a hidden name before its final dot and gets its real name once it is sent, so a
// file <decision>.eml is a mail that was accepted, and a crash in between is made good
// when the decision comes again.

func (s *Sender) hidden(id string) string { return filepath.Join(s.options.MailDir, "."+id+".tmp") }

// File is where the mail of a decision is written, or "" without a mail directory.
func (s *Sender) File(id string) string {
	if s.options.MailDir == "" || CheckDecision(id) != nil {
		return ""
	}
	return filepath.Join(s.options.MailDir, id+".eml")
}

// write puts the bytes under the hidden name.
func (s *Sender) write(id string, b []byte) error {
	if s.options.MailDir == "" {
		return nil
	}
	if err := os.MkdirAll(s.options.MailDir, 0o700); err != nil {
		return fmt.Errorf("mail directory: %w", err)
	}
	if err := os.WriteFile(s.hidden(id), b, 0o600); err != nil {
		return fmt.Errorf("mail directory: %w", err)
	}
	return nil
}

// settle gives the hidden file its name, or removes it when the mail was not sent.
func (s *Sender) settle(id string, sent bool) {
	if s.options.MailDir == "" {
		return
	}
	var err error
	if sent {
		err = os.Rename(s.hidden(id), s.File(id))
	} else {
		err = os.Remove(s.hidden(id))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.count.fileErrors.Add(1)
		s.options.Log.Warn("mail directory", "decision", id, "err", err)
	}
}
