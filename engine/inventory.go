package engine

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"millrace/state"
)

// Stored is how much of one kind the state holds.
type Stored struct {
	Name  string `json:"name"` // of a cell, or "timers", "outbox", "behind": messages to lazy stages
	Keys  int64  `json:"keys"`
	Bytes int64  `json:"bytes"` // of keys and values, as they are encoded
}

// Inventory reads all of the state and says how much there is of each kind, by name.
func Inventory(v *View) ([]Stored, error) {
	names := make(map[uint16]string)
	raw, found, err := v.Get(nil, keyCells)
	if err != nil {
		return nil, err
	}
	if found {
		known := make(map[string]uint16)
		if err := json.Unmarshal(raw, &known); err != nil {
			return nil, fmt.Errorf("the names of the state cannot be read: %w", err)
		}
		for name, id := range known {
			names[id] = name
		}
	}
	all := make(map[string]*Stored)
	err = v.Scan(nil, nil, func(key, value []byte) bool {
		name := storedName(names, key)
		s := all[name]
		if s == nil {
			s = &Stored{Name: name}
			all[name] = s
		}
		if key[0] != state.SpaceParts {
			s.Keys++
		}
		s.Bytes += int64(len(key) + len(value))
		return true
	})
	if err != nil {
		return nil, err
	}
	var list []Stored
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, *all[name])
	}
	return list, nil
}

// storedName is what the value of a key belongs to.
func storedName(names map[uint16]string, key []byte) string {
	switch key[0] {
	case state.SpaceCells, state.SpaceParts:
		if len(key) >= 4 {
			if name := names[binary.BigEndian.Uint16(key[2:])]; name != "" {
				return name
			}
		}
		return "unknown"
	case state.SpaceTimers, spaceClocks:
		return "timers"
	case state.SpaceOutbox:
		return "outbox"
	case state.SpaceRedo:
		return "behind"
	default:
		return "store"
	}
}
