package experiment

// Compare is the effect on a metric from the sums of two arms. With cuped what was known
// before the exposure is taken out, if anything was.
func (m *Metric) Compare(control, treatment *Moments, relative, cuped bool) (Effect, error) {
	a, b := control.Joint(), treatment.Joint()
	if m.Kind == Ratio {
		if cuped && a.Mean[PrePer] != 0 && b.Mean[PrePer] != 0 {
			theta, err := ThetaRatio(a, b)
			if err != nil {
				return Effect{}, err
			}
			return CUPEDRatio(a, b, theta, relative)
		}
		ra, err := a.Ratio()
		if err != nil {
			return Effect{}, err
		}
		rb, err := b.Ratio()
		if err != nil {
			return Effect{}, err
		}
		return difference(ra, rb, relative)
	}
	if cuped {
		if theta := Theta(a, b); theta != 0 {
			return CUPED(a, b, theta, relative)
		}
	}
	sa, sb := a.Sample(), b.Sample()
	if m.Kind == Share {
		sa, sb = ShareOf(a.N, a.Mean[Value]*a.N), ShareOf(b.N, b.Mean[Value]*b.N)
	}
	return difference(sa, sb, relative)
}

func difference(a, b Sample, relative bool) (Effect, error) {
	if relative {
		return Relative(a, b)
	}
	return Absolute(a, b)
}
