package stream

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// This file holds what is particular to the Segment tracking API and to RudderStack's
// form of it: the paths, where the write key stands, and what browsers ask for.

// route is what a path means.
type route struct {
	batch bool
	kind  string // of a single event
}

// routes names every path that takes events. A path matches exactly or not at all: an
// SDK follows a redirect with a GET without a body, and the events are gone.
func routes() map[string]route {
	m := map[string]route{"/beacon/v1/batch": {batch: true}}
	for _, p := range []string{"batch", "b"} {
		m["/v1/"+p] = route{batch: true}
	}
	for _, kind := range []string{"track", "identify", "page", "screen", "group", "alias"} {
		m["/v1/"+kind] = route{kind: kind}
		m["/v1/"+kind[:1]] = route{kind: kind}
	}
	m["/v1/merge"] = route{kind: "merge"} // RudderStack's
	return m
}

const (
	pixelPath        = "/v1/pixel/"
	projectsPath     = "/v1/projects/"
	settingsSuffix   = "/settings"
	sourceConfigPath = "/sourceConfig/"
)

// pixel is the smallest transparent GIF.
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// headerKey is the write key of the Authorization header: the user name of Basic
// authentication, whose password is empty. Anything else counts as no key.
func headerKey(r *http.Request) string {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return ""
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return ""
	}
	key, _, _ := strings.Cut(string(raw), ":")
	return key
}

// pixelData is the event in a pixel's address: JSON, plain or as base64 of any kind.
func pixelData(r *http.Request) []byte {
	data := r.URL.Query().Get("data")
	if strings.HasPrefix(strings.TrimSpace(data), "{") {
		return []byte(data)
	}
	data = strings.NewReplacer("-", "+", "_", "/", " ", "+", "=", "").Replace(data)
	raw, err := base64.RawStdEncoding.DecodeString(data)
	if err != nil {
		return nil
	}
	return raw
}

// cors lets browsers of the allowed origins read the answer, and know how long to
// wait before they try again.
func (g *Gateway) cors(h http.Header, r *http.Request) {
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !g.allowed(origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		h.Set("Access-Control-Max-Age", "7200")
		// A star would not cover Authorization (Fetch standard), and without
		// X-Retry-Count every retry of a browser fails in its preflight.
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Retry-Count, AnonymousId, SentAt")
	}
}

func (g *Gateway) allowed(origin string) bool {
	if len(g.opts.Origins) == 0 {
		return true
	}
	for _, o := range g.opts.Origins {
		if o == "*" || strings.EqualFold(o, origin) {
			return true
		}
	}
	return false
}

// settings answers what Segment's browser SDK fetches before it sends anything.
func (g *Gateway) settings(w http.ResponseWriter, r *http.Request, key string) {
	if _, ok := g.opts.Sources[key]; !ok {
		g.refuse(w, refusedKey)
		return
	}
	protocol, host := g.address(r)
	type object = map[string]any
	g.json(w, http.StatusOK, object{
		"integrations": object{"Segment.io": object{"apiKey": key, "apiHost": host + "/v1", "protocol": protocol}},
		"plan":         object{"track": object{"__default": object{"enabled": true}}},
	})
}

// sourceConfig answers what RudderStack's browser SDK fetches.
func (g *Gateway) sourceConfig(w http.ResponseWriter, r *http.Request) {
	key := headerKey(r)
	if key == "" {
		key = r.URL.Query().Get("writeKey")
	}
	src, ok := g.opts.Sources[key]
	if !ok {
		g.refuse(w, refusedKey)
		return
	}
	type object = map[string]any
	off := object{"enabled": false}
	g.json(w, http.StatusOK, object{
		"source": object{
			"id": src.Name, "name": src.Name, "writeKey": key, "enabled": true, "workspaceId": "millrace",
			"config":       object{"statsCollection": object{"errors": off, "metrics": off}},
			"destinations": []any{}, "dataplanes": object{},
		},
		"updatedAt": "2026-01-01T00:00:00Z",
	})
}

// address is how clients reach this gateway.
func (g *Gateway) address(r *http.Request) (protocol, host string) {
	if protocol, host, ok := strings.Cut(g.opts.PublicURL, "://"); ok {
		return protocol, strings.TrimSuffix(host, "/")
	}
	protocol = "http"
	if r.TLS != nil || g.trusted(remoteHost(r)) && r.Header.Get("X-Forwarded-Proto") == "https" {
		protocol = "https"
	}
	return protocol, r.Host
}

// stringValue is the meaning of a JSON string's inside; empty when it is none.
func stringValue(inside []byte) string {
	if inside == nil {
		return ""
	}
	var s string
	quoted := make([]byte, 0, len(inside)+2)
	quoted = append(append(append(quoted, '"'), inside...), '"')
	if json.Unmarshal(quoted, &s) != nil {
		return ""
	}
	return s
}
