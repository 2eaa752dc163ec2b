package configs

// Hybrid tells whether recommendations go by more than what goes together, unless their
// journey says otherwise.
func (i *Items) Hybrid() bool { return i.Recommend != "together" }

// Hybrid tells whether the journey's recommendations go by more than what goes together.
func (r *Recommend) Hybrid(shop *Shop) bool {
	if r == nil || r.By == "" {
		return shop.Items.Hybrid()
	}
	return r.By == "hybrid"
}

// recommend checks what stands together.
func (s *sense) recommend(r *Recommend) {
	if r == nil || r.PriceMax == 0 || r.PriceMin <= r.PriceMax {
		return
	}
	if n := s.root.get("content", "recommend", "price_min"); n != nil {
		s.at(n, "content.recommend.price_min", "", "is above price_max, so nothing could be shown")
	}
}
