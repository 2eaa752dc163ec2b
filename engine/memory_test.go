package engine

import (
	"io/fs"
	"math"
	"testing"
)

func TestMemoryOf(t *testing.T) {
	f := func(want int64, files ...string) {
		t.Helper()
		got := memoryOf(func(path string) ([]byte, error) {
			for i := 0; i < len(files); i += 2 {
				if files[i] == path {
					return []byte(files[i+1]), nil
				}
			}
			return nil, fs.ErrNotExist
		})
		if got != want {
			t.Fatalf("%q: %d, want %d", files, got, want)
		}
	}
	const host, v2, v1 = "/proc/meminfo", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"
	const has = "MemTotal:       24000 kB\nMemFree:         1000 kB\n"
	f(math.MaxInt64)
	f(24000*1024, host, has)
	f(24000*1024, host, has, v2, "max\n")
	f(1<<20, host, has, v2, "1048576\n")
	f(24000*1024, host, has, v2, "1099511627776\n")
	f(1<<20, host, has, v1, "1048576\n")
	f(24000*1024, host, has, v1, "9223372036854771712\n")
	f(1<<20, v2, "1048576")
	f(math.MaxInt64, host, "MemTotal: lots", v2, "-1", v1, "")
	f(math.MaxInt64, host, "MemTotal: 9223372036854775807 kB")
}

// An epoch is small where memory is.
func TestEpochBytes(t *testing.T) {
	f := func(limit int64, want int) {
		t.Helper()
		if got := epochBytes(limit); got != want {
			t.Fatalf("%d: %d, want %d", limit, got, want)
		}
	}
	f(0, 16<<20)
	f(384<<20, 16<<20)
	f(1<<30, 32<<20)
	f(math.MaxInt64, math.MaxInt32)
}
