package experiment

// QuantileOf is an arm on a quantile: its estimate from n units with the bounds of its
// 95 % interval, which come from the order statistics around it.
func QuantileOf(n, estimate, lower, upper float64) Sample {
	s := Sample{N: n, Mean: estimate}
	if n > 1 {
		sd := (upper - lower) / (2 * -normalQuantile(0.025))
		s.Var = (n - 1) * sd * sd
	}
	return s
}
