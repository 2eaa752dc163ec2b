package configs

import "time"

// Quality says who is too fast for a shopper. What such a person or visitor does is still
// counted in their own picture, but starts no mail and teaches nothing about items.
type Quality struct {
	PerMinute int           `json:"per_minute" jsonschema:"minimum=1,maximum=100000" jsonschema_description:"How many events of a minute a shopper may make (120)."`
	Excess    int           `json:"excess" jsonschema:"minimum=1,maximum=1000000" jsonschema_description:"How many more than that, in all, make a robot (60)."`
	HalfLife  time.Duration `json:"half_life" jsonschema_description:"The excess loses half its weight in this time (24h)."`
}

// defaults is what a section without numbers means.
func (q *Quality) defaults() {
	q.PerMinute = 120           // two a second: a page that sends a view for each tile on it
	q.Excess = 60               // a retry of a whole queue is no robot yet
	q.HalfLife = 24 * time.Hour // who is shared by a household comes back clean in days
}
