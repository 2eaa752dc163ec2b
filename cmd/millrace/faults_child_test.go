package main

import (
	"math"
	"os"
	"os/signal"
	"syscall"
)

// This file takes from a running child what the system lends it: room in its files, or
// file descriptors. The child does it to itself, at the parent's signal.

// limits are what a fault child takes from itself at SIGUSR1, and has back at SIGUSR2.
type limits struct {
	FileBytes  uint64 // the size that no file may grow beyond; 0 for any
	Files      uint64 // how many files it may have open; 0 for as many as before
	FilesAtAll uint64 // the same from the start on
}

// apply watches for the signals. It says "limited" and "free" when it is.
func (l limits) apply(say func(string)) {
	if l.FilesAtAll > 0 {
		soft(syscall.RLIMIT_NOFILE, l.FilesAtAll)
	}
	if l.FileBytes == 0 && l.Files == 0 {
		return
	}
	signal.Ignore(syscall.SIGXFSZ) // a write beyond the limit answers EFBIG
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range ch {
			on := s == syscall.SIGUSR1
			if l.FileBytes > 0 {
				soft(syscall.RLIMIT_FSIZE, pick(on, l.FileBytes, math.MaxInt64))
			}
			if l.Files > 0 {
				soft(syscall.RLIMIT_NOFILE, pick(on, l.Files, math.MaxInt64))
			}
			say(map[bool]string{true: "limited", false: "free"}[on])
		}
	}()
}

func pick(on bool, a, b uint64) uint64 {
	if on {
		return a
	}
	return b
}

// soft sets a limit, or as much of it as may be set.
func soft(what int, n uint64) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(what, &l); err != nil {
		panic(err)
	}
	if l.Cur = min(n, l.Max); syscall.Setrlimit(what, &l) != nil {
		panic("a limit cannot be set")
	}
}
