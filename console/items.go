package console

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/url"
)

// neighbour is an item beside another, as shown.
type neighbour struct {
	ID    string  `json:"id"`
	Name  string  `json:"name"`
	Score float64 `json:"score,omitempty"`
	Count uint64  `json:"count,omitempty"`
	Href  string  `json:"-"`
	Width string  `json:"-"`
	Text  string  `json:"-"`
	Times string  `json:"-"`
}

type relationView struct {
	Name       string      `json:"name"`
	Neighbours []neighbour `json:"neighbours"`
}

type itemView struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Category  string         `json:"category,omitempty"`
	Facts     []factLine     `json:"facts,omitempty"`
	Relations []relationView `json:"relations"`
}

type itemsView struct {
	Query   string      `json:"query,omitempty"`
	Missing bool        `json:"missing"`
	Item    *itemView   `json:"item,omitempty"`
	Top     []neighbour `json:"top,omitempty"`
}

// Limits of an item's page.
const (
	topItems      = 30
	neighboursMax = 15
	relationsMax  = 6
	itemBytesMax  = 512
)

// items answers the most active items, or with ?id= one of them.
func (c *Console) items(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	if id == "" || len(id) > itemBytesMax {
		top, err := c.opt.Items.Top(r.Context(), topItems)
		if err != nil {
			c.oops(w, r, err)
			return
		}
		list := make([]Neighbour, 0, len(top))
		for _, it := range top {
			list = append(list, Neighbour{ID: it.ID, Name: it.Name, Score: it.Score})
		}
		c.page(w, r, http.StatusOK, "items", "Items", itemsView{Top: c.neighboursOf(list, topItems)})
		return
	}
	it, err := c.opt.Items.Item(r.Context(), id)
	if isMissing(err) {
		c.page(w, r, http.StatusNotFound, "items", "Items", itemsView{Query: clean(id), Missing: true})
		return
	}
	if err != nil {
		c.oops(w, r, err)
		return
	}
	v := c.itemOf(it)
	c.page(w, r, http.StatusOK, "items", v.Name, itemsView{Query: clean(id), Item: &v})
}

func (c *Console) itemOf(it Item) itemView {
	v := itemView{ID: clean(it.ID), Name: cmp.Or(clean(it.Name), clean(it.ID)), Category: clean(it.Category)}
	for _, f := range it.Facts[:min(len(it.Facts), factsMax)] {
		v.Facts = append(v.Facts, c.factOf(f))
	}
	for _, rel := range it.Relations[:min(len(it.Relations), relationsMax)] {
		v.Relations = append(v.Relations, relationView{clean(rel.Name), c.neighboursOf(rel.Neighbours, neighboursMax)})
	}
	return v
}

// neighboursOf shows at most limit neighbours, with bars in proportion to the best.
func (c *Console) neighboursOf(list []Neighbour, limit int) []neighbour {
	list = list[:min(len(list), limit)]
	top := 0.0
	for _, n := range list {
		top = max(top, n.Score)
	}
	out := make([]neighbour, 0, len(list))
	for _, n := range list {
		v := neighbour{ID: clean(n.ID), Name: cmp.Or(clean(n.Name), clean(n.ID)), Score: n.Score, Count: n.Count, Href: c.itemHref(n.ID)}
		if n.Score > 0 && !math.IsInf(n.Score, 0) {
			v.Width, v.Text = coordinate(100*n.Score/top), short(n.Score)
		} else {
			v.Score = 0 // JSON knows no infinity
		}
		if n.Count > 0 {
			v.Times = fmt.Sprintf("%s×", number(n.Count))
		}
		out = append(out, v)
	}
	return out
}

// itemHref leads to an item's page, when there is one.
func (c *Console) itemHref(id string) string {
	if c.opt.Items == nil || id == "" || len(id) > itemBytesMax {
		return ""
	}
	return "/items?id=" + url.QueryEscape(id)
}
