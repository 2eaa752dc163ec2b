package experiment

import (
	"errors"
	"fmt"
	"math"
)

// Design is an experiment that is being planned. Effects are two-sided.
type Design struct {
	Baseline float64 // mean of the control, a probability when SD is 0
	SD       float64 // standard deviation of a unit; 0 for a proportion
	Effect   float64 // least effect worth finding, as a share of the baseline
	Alpha    float64 // 0 means .05
	Power    float64 // 0 means .8
	Arms     int     // with the control; 0 means 2. Each is compared with the control
	PerDay   float64 // units that enter a day, all arms together; 0: no duration is planned
	TuningN  float64 // of the confidence sequence; 0: tuned to the planned size
}

func (d Design) withDefaults() Design {
	if d.Alpha == 0 {
		d.Alpha = 0.05 // the custom that readers expect
	}
	if d.Power == 0 {
		d.Power = 0.8 // the same
	}
	if d.Arms == 0 {
		d.Arms = 2
	}
	return d
}

// check tells what cannot be planned.
func (d Design) check() error {
	switch {
	case d.SD == 0 && !(d.Baseline > 0 && d.Baseline < 1):
		return fmt.Errorf("baseline %v: want a probability between 0 and 1, or a deviation beside it", d.Baseline)
	case d.SD < 0 || math.IsNaN(d.SD) || math.IsInf(d.SD, 0):
		return fmt.Errorf("deviation %v is not a positive number", d.SD)
	case d.Baseline == 0 || math.IsNaN(d.Baseline) || math.IsInf(d.Baseline, 0):
		return fmt.Errorf("baseline %v: an effect cannot be a share of it", d.Baseline)
	case d.Effect == 0 || math.IsNaN(d.Effect) || math.IsInf(d.Effect, 0):
		return fmt.Errorf("effect %v: want a share of the baseline, such as 0.1", d.Effect)
	case d.SD == 0 && !(d.Baseline*(1+d.Effect) > 0 && d.Baseline*(1+d.Effect) < 1):
		return fmt.Errorf("effect %v: the treatment's rate would be %v", d.Effect, d.Baseline*(1+d.Effect))
	case !(d.Alpha > 0 && d.Alpha < 1):
		return fmt.Errorf("alpha %v is not between 0 and 1", d.Alpha)
	case !(d.Power > 0 && d.Power < 1):
		return fmt.Errorf("power %v is not between 0 and 1", d.Power)
	case d.Arms < 2 || d.Arms > 100:
		return fmt.Errorf("%d arms: want 2 to 100", d.Arms)
	case !(d.PerDay >= 0) || math.IsInf(d.PerDay, 1):
		return fmt.Errorf("%v units a day is not possible", d.PerDay)
	}
	return nil
}

// noise is the effect to be found in units of the standard deviation of the difference of
// two units, one of each arm.
func (d Design) noise() float64 {
	v := 2 * d.SD * d.SD
	if d.SD == 0 {
		p := d.Baseline * (1 + d.Effect)
		v = d.Baseline*(1-d.Baseline) + p*(1-p)
	}
	return math.Abs(d.Baseline*d.Effect) / math.Sqrt(v)
}

// PowerAt is the probability that a test at one look with n units an arm finds the effect,
// in the right direction (normal approximation).
func (d Design) PowerAt(n float64) (float64, error) {
	d = d.withDefaults()
	if err := d.check(); err != nil {
		return 0, err
	}
	return normalBelow(d.noise()*math.Sqrt(n) + normalQuantile(d.Alpha/2)), nil
}

// Plan is how large an experiment must be.
type Plan struct {
	PerArm         float64 // units an arm for one look at the end
	SequentialArm  float64 // units an arm if it may be looked at all the time
	Days           float64 // for PerArm in all arms; 0 without PerDay
	SequentialDays float64
	Alpha          float64 // of each comparison, after Bonferroni's correction for the arms
}

// perArmMax is where planning gives up: nobody has so many readers.
const perArmMax = 1e12

// Plan finds the sizes. The sequential one is where the confidence sequence excludes zero
// with the wanted power at that very look, so that the power of all looks together is higher.
func (d Design) Plan() (Plan, error) {
	d = d.withDefaults()
	if err := d.check(); err != nil {
		return Plan{}, err
	}
	d.Alpha /= float64(d.Arms - 1)
	p := Plan{Alpha: d.Alpha}
	signal := d.noise()
	p.PerArm = math.Ceil(square((normalQuantile(d.Power) - normalQuantile(d.Alpha/2)) / signal))
	short := func(n float64) bool {
		tune := d.TuningN
		if tune <= 0 {
			tune = 2 * n
		}
		half := Effect{SE: 1, N: 2 * n}.Sequence(d.Alpha, tune).CI.Hi
		return normalBelow(signal*math.Sqrt(n)-half) < d.Power
	}
	if short(perArmMax) {
		return Plan{}, errors.New("no size within reason finds so small an effect")
	}
	p.SequentialArm = math.Ceil(bisect(1, perArmMax, short))
	if d.PerDay > 0 {
		p.Days = math.Ceil(p.PerArm * float64(d.Arms) / d.PerDay)
		p.SequentialDays = math.Ceil(p.SequentialArm * float64(d.Arms) / d.PerDay)
	}
	return p, nil
}
