package main

import "context"

// publishOffer puts an offer of the catalogue into the log.
func (a *app) publishOffer(ctx context.Context, id string, data []byte) error {
	_, err := a.events.Publish(ctx, "in.offer", id, data)
	return err
}
