package emitter

// FakeOutbox lets tests outside the package use the fake.
type FakeOutbox = fakeOutbox

// NewFakeOutbox makes an empty one.
func NewFakeOutbox() *FakeOutbox { return newFakeOutbox() }

// Commit makes deliveries durable.
func (f *fakeOutbox) Commit(list ...Delivery) []Delivery { return f.commit(list...) }

// States counts the deliveries of a webhook by state.
func (f *fakeOutbox) States(webhook string) map[string]int { return f.states(webhook) }

// Acked counts the receipts so far.
func (f *fakeOutbox) Acked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acked
}
