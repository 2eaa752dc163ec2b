package engine

import (
	"bytes"
	"math"
	"os"
	"runtime/debug"
	"strconv"
)

// UseMemory makes the program stay below limit bytes, if it can be done: a quarter is for
// values that stand encoded outside the heap, the rest for the heap, beyond which the
// collector works as hard as it must. 0 means three quarters of what the machine, or the
// control group, has. It answers the heap's limit. What the environment says in GOMEMLIMIT
// holds over it. Call it once, at the start of a program.
func UseMemory(limit int64) int64 {
	if limit <= 0 {
		limit = memoryOf(os.ReadFile) / 4 * 3
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit - limit/4) // see packedBytes
	}
	return debug.SetMemoryLimit(-1)
}

// epochBytes is how large an epoch may be when the program may use so much memory: two of
// them are under way, each a few times in memory, and caches want most of it.
func epochBytes(limit int64) int {
	return int(max(min(limit/32, math.MaxInt32), 16<<20))
}

// packedBytes is how much encoded values may take beside the heap, of which limit is the
// bound: of the two together a quarter.
func packedBytes(limit int64) int64 {
	return max(min(limit/3, 8<<30), 16<<20)
}

// memoryOf is the least of what the machine has and what control groups, of version 2
// or 1, allow: in a container they are what counts. What cannot be read says nothing.
func memoryOf(read func(path string) ([]byte, error)) int64 {
	least := int64(math.MaxInt64)
	if raw, err := read("/proc/meminfo"); err == nil {
		if _, rest, ok := bytes.Cut(raw, []byte("MemTotal:")); ok {
			if f := bytes.Fields(rest); len(f) > 1 && string(f[1]) == "kB" {
				if n, ok := positive(f[0]); ok && n < math.MaxInt64/1024 {
					least = n * 1024
				}
			}
		}
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if raw, err := read(path); err == nil {
			if n, ok := positive(bytes.TrimSpace(raw)); ok {
				least = min(least, n)
			}
		}
	}
	return least
}

func positive(b []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil && n > 0
}
