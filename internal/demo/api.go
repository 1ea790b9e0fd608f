// Package demo has a small legacy-like API whose records change, for `deltahook demo`.
package demo

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// API is the changing system: a paged list of orders at /api/orders. A record that was changed is not changed again before
// it was served, so that one change is one event and the two can be counted against each other.
type API struct {
	// Changed is called for each change, with the record before and after it (nil: there was none).
	Changed func(kind string, before, after *Order)

	mu      sync.Mutex
	rand    *rand.Rand
	orders  map[int]*Order
	next    int
	changes map[string]int
	fault   string
}

// Order is a record of the API.
type Order struct {
	ID       int         `json:"id"`
	Customer string      `json:"customer"`
	Status   string      `json:"status"`
	Total    json.Number `json:"total"`

	served bool
}

// pageSize is small, so that even a small demo follows pages.
const pageSize = 10

// NewAPI makes an API with n orders.
func NewAPI(n int, seed uint64) *API {
	a := &API{
		rand: rand.New(rand.NewPCG(seed, seed)), orders: map[int]*Order{}, next: 1001, changes: map[string]int{},
		Changed: func(string, *Order, *Order) {},
	}
	for range n {
		a.add()
	}
	return a
}

func customers() []string { return []string{"Ann", "Bo", "Chris", "Dee", "Eve", "Finn", "Gil", "Hana"} }
func statuses() []string  { return []string{"new", "paid", "packed", "shipped", "done"} }

func (a *API) add() *Order {
	o := &Order{
		ID: a.next, Customer: customers()[a.rand.IntN(len(customers()))], Status: statuses()[0],
		Total: json.Number(fmt.Sprintf("%d.%d0", 5+a.rand.IntN(200), a.rand.IntN(10))),
	}
	a.next++
	a.orders[o.ID] = o
	return o
}

// Change does one change, if there is a record that may be changed.
func (a *API) Change() {
	a.mu.Lock()
	kind, before, after := a.change()
	if kind != "" {
		a.changes[kind]++
	}
	a.mu.Unlock()
	if kind != "" {
		a.Changed(kind, before, after)
	}
}

func (a *API) change() (kind string, before, after *Order) {
	dice := a.rand.IntN(10)
	if dice < 3 {
		o := *a.add()
		return "created", nil, &o
	}
	ids := slices.Sorted(maps.Keys(a.orders))
	ids = slices.DeleteFunc(ids, func(id int) bool { return !a.orders[id].served })
	if len(ids) == 0 {
		return "", nil, nil
	}
	o := a.orders[ids[a.rand.IntN(len(ids))]]
	old := *o
	if dice < 5 && len(a.orders) > 2*pageSize {
		delete(a.orders, o.ID)
		return "deleted", &old, nil
	}
	o.served = false
	o.Status = nextStatus(o.Status)
	now := *o
	return "updated", &old, &now
}

func nextStatus(s string) string {
	all := statuses()
	return all[(slices.Index(all, s)+1)%len(all)]
}

// Changes counts the changes so far by kind.
func (a *API) Changes() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.changes)
}

// Orders gives the current records by id.
func (a *API) Orders() map[string]Order {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make(map[string]Order, len(a.orders))
	for id, o := range a.orders {
		all[strconv.Itoa(id)] = *o
	}
	return all
}

// Misbehave makes the API answer wrongly until the next call: "login" (an HTML page with status 200), "down" (503),
// "" (well again).
func (a *API) Misbehave(fault string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = fault
}

// ServeHTTP answers GET /api/orders?page=N with one page and the total.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	if page == 1 && a.fault != "" {
		a.misbehave(w)
		return
	}
	a.servePage(w, page)
}

// misbehave is for first pages only: a walk that began well ends well, so that what was served was also taken on and the
// changes can be counted.
func (a *API) misbehave(w http.ResponseWriter) {
	if a.fault == "login" {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><title>Sign in</title><body>Please sign in to OrderMaster 3.1</body></html>")
		return
	}
	http.Error(w, "maintenance", http.StatusServiceUnavailable)
}

func (a *API) servePage(w http.ResponseWriter, page int) {
	ids := slices.Sorted(maps.Keys(a.orders))
	from := min((page-1)*pageSize, len(ids))
	to := min(from+pageSize, len(ids))
	items := make([]*Order, 0, pageSize)
	for _, id := range ids[from:to] {
		a.orders[id].served = true
		items = append(items, a.orders[id])
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "total": len(ids), "page": page})
}
