package console

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// policy is what a page of ours may load: nothing that is not our own.
const policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// mailPolicy is what a mail inside its frame may do: show its own styles and
// embedded pictures. No script, no form, no request to anywhere; the sandbox gives
// it an origin of its own, so it cannot read the page around it.
const mailPolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// guard wraps next with the access rules and the security headers.
func (c *Console) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.deny(w, r, "This request was sent by another site's page.")
	}))
	next = cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		switch {
		case !c.opt.AllowRemote && !fromLoopback(r.RemoteAddr):
			c.deny(w, r, "This console answers only the machine it runs on.")
		case !c.hostAllowed(r.Host):
			c.deny(w, r, "This console does not go by that name. Use its address, or start it with that name among its hosts.")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// deny refuses a request in plain text: who is refused learns nothing about what is here.
func (c *Console) deny(w http.ResponseWriter, r *http.Request, why string) {
	c.count.denied.Add(1)
	c.opt.Logger.Warn("console: request refused", "why", why, "method", r.Method)
	http.Error(w, why, http.StatusForbidden)
}

// secure sets the headers that every answer carries. The referrer stays on this
// site; none ever leaves it.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
}

// fromLoopback tells whether a remote address is this machine.
func fromLoopback(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// hostAllowed tells whether a Host header may be answered. DNS rebinding needs a
// name of the attacker's, so addresses are safe; names must be known.
func (c *Console) hostAllowed(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if a, err := netip.ParseAddr(name); err == nil {
		return c.opt.AllowRemote || a.Unmap().IsLoopback()
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost") ||
		slices.ContainsFunc(c.opt.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}
