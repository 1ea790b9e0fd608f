package outbound

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
)

// script is a transport that answers as told, without a network, so that time can be a bubble's.
type script func(req *http.Request) *http.Response

func (s script) RoundTrip(req *http.Request) (*http.Response, error) {
	resp := s(req)
	resp.Request = req
	return resp, req.Context().Err()
}

// says makes an answer of a status, a body and headers.
func says(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

// asker is a client of a host in a bubble, with its first request.
func asker(hosts *Hosts, transport http.RoundTripper, address string, edit func(*setup)) func(ctx context.Context) (*Response, error) {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	o := setup{Hosts: hosts, Timeout: 30 * time.Second, Options: Options{
		Target: Target{URL: u}, Transport: transport,
		Retry: Retry{Attempts: 3, Base: time.Second, Max: 15 * time.Second, MaxWait: time.Minute},
	}}
	if edit != nil {
		edit(&o)
	}
	c := o.client()
	return func(ctx context.Context) (*Response, error) {
		resp, err := c.Do(ctx, Request{URL: u, Header: http.Header{}})
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			err = errors.Join(err, resp.Body.Close())
		}
		return resp, err
	}
}

// waited fails the test unless a time lies in bounds: what is waited for, and a tenth more by chance.
func waited(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+want/10+time.Millisecond {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestARefusalOfOneSourceHoldsBackTheOthersOfItsHostAndNobodyElse(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hosts := NewHosts(nil)
		var asked atomic.Int64
		limited := script(func(*http.Request) *http.Response {
			if asked.Add(1) == 1 {
				return says(429, "", "Retry-After", "20")
			}
			return says(200, "[]")
		})
		one := asker(hosts, limited, "https://erp.example.com/a", nil)
		other := asker(hosts, limited, "https://ERP.example.com:443/b", nil)
		stranger := asker(hosts, script(func(*http.Request) *http.Response { return says(200, "[]") }), "https://crm.example.com/", nil)
		began := time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := one(t.Context()); err != nil {
				t.Error(err)
			}
			waited(t, "the one", time.Since(began), 20*time.Second)
		})
		synctest.Wait()
		all.Go(func() {
			if _, err := other(t.Context()); err != nil {
				t.Error(err)
			}
			waited(t, "the other", time.Since(began), 20*time.Second)
		})
		if _, err := stranger(t.Context()); err != nil || time.Since(began) > 0 {
			t.Errorf("another host waited %s, %v", time.Since(began), err)
		}
		all.Wait()
		if asked.Load() != 3 {
			t.Errorf("asked %d times", asked.Load())
		}
	})
}

func TestALongHoldDefersAtOnceAndSaysUntilWhen(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hosts := NewHosts(nil)
		var asked atomic.Int64
		limited := script(func(*http.Request) *http.Response { asked.Add(1); return says(429, "", "Retry-After", "3600") })
		began := time.Now()
		for i, address := range []string{"https://erp.example.com/a", "https://erp.example.com/b"} {
			_, err := asker(hosts, limited, address, nil)(t.Context())
			wait, ok := errors.AsType[*DeferredError](err)
			if !ok || wait.Status != 429 || wait.Attempts != 1-i || asked.Load() != 1 {
				t.Fatalf("%d: %v (%+v), asked %d times", i, err, wait, asked.Load())
			}
			waited(t, "until", wait.Until.Sub(began), time.Hour)
			if want := []string{"the server answered 429", "erp.example.com:443 is left alone for 1h0m0s: it answered 429"}[i]; !strings.Contains(err.Error(), want) {
				t.Errorf("%v", err)
			}
		}
		if time.Since(began) > 0 {
			t.Errorf("it waited %s", time.Since(began))
		}
	})
}

func TestT11AWaitThatIsLongerThanTheDeadlineOfThePollDefers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hosts := NewHosts([]Limits{{Name: "erp.example.com", Rate: setting.Rate{Count: 2, Per: time.Minute}}})
		ask := asker(hosts, script(func(*http.Request) *http.Response { return says(200, "[]") }), "https://erp.example.com/", nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := ask(ctx); err != nil {
			t.Fatal(err)
		}
		_, err := ask(ctx)
		if wait, ok := errors.AsType[*DeferredError](err); !ok || wait.Status != 0 || !strings.Contains(err.Error(), `rate = "2/m"`) {
			t.Errorf("%v", err)
		}
	})
}

func TestARateIsSharedByAllSourcesOfAHost(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hosts := NewHosts([]Limits{{Name: "nvd.example.com", Rate: setting.Rate{Count: 1, Per: time.Second}, Burst: 3}})
		var times []time.Duration
		var mu sync.Mutex
		began := time.Now()
		api := script(func(*http.Request) *http.Response {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Since(began))
			return says(200, "[]")
		})
		var all sync.WaitGroup
		for range 5 {
			for _, address := range []string{"http://nvd.example.com/", "https://nvd.example.com:8443/"} {
				all.Go(func() {
					if _, err := asker(hosts, api, address, nil)(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		for i, at := range times {
			if want := time.Duration(max(i-2, 0)) * time.Second; at != want {
				t.Errorf("request %d after %s, want %s", i, at, want)
			}
		}
	})
}

// under is a body that counts how many of its kind are not read to their end.
type under struct {
	io.Reader

	now *atomic.Int64
}

func (u under) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if err != nil {
		u.now.Add(-1)
	}
	return n, err
}

func (u under) Close() error { return nil }

func TestConcurrencyBoundsWhatIsUnderWayAnswerIncluded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hosts := NewHosts([]Limits{{Name: "erp.example.com", Concurrency: 2}})
		var now, most atomic.Int64
		api := script(func(*http.Request) *http.Response {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second) // in a bubble
			resp := says(200, "[]")
			resp.Body = under{resp.Body, &now}
			return resp
		})
		began := time.Now()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := asker(hosts, api, "http://erp.example.com/", nil)(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most.Load() != 2 || time.Since(began) != 5*time.Second {
			t.Errorf("%d at the same time, %s for ten", most.Load(), time.Since(began))
		}
	})
}

func TestAPlaceThatNeverGetsFreeDefers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hosts := NewHosts([]Limits{{Name: "erp.example.com", Concurrency: 1}})
		stuck := asker(hosts, script(func(q *http.Request) *http.Response { <-q.Context().Done(); return says(200, "") }),
			"http://erp.example.com/", func(o *setup) { o.Timeout = 10 * time.Minute })
		var all sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		all.Go(func() { _, _ = stuck(ctx) })
		synctest.Wait()
		began, waited := time.Now(), 0
		waiting := WithWaiting(t.Context(), func() { waited++ })
		_, err := asker(hosts, nil, "http://erp.example.com/", nil)(waiting)
		if wait, ok := errors.AsType[*DeferredError](err); !ok || !wait.Until.After(time.Now()) || time.Since(began) != time.Minute || waited == 0 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		cancel()
		all.Wait()
		if _, err := asker(hosts, script(func(*http.Request) *http.Response { return says(200, "") }), "http://erp.example.com/", nil)(t.Context()); err != nil {
			t.Errorf("the place was not given back: %v", err)
		}
	})
}

func TestAFailedRequestGivesItsPlaceBack(t *testing.T) {
	hosts := NewHosts([]Limits{{Name: "127.0.0.1", Concurrency: 1}})
	for range 3 {
		_, err := asker(hosts, nil, "http://127.0.0.1:1/", func(o *setup) { o.Retry.Attempts = 1 })(t.Context())
		if e, ok := errors.AsType[*Error](err); !ok || e.Reason != "connect" {
			t.Fatal(err)
		}
	}
}

// The headers are looked at on every answer: a server whose quota is used up says so with a 200.
func TestAQuotaThatIsUsedUpIsWaitedFor(t *testing.T) {
	const sinceBubbles = 10 * 365 * 24 * time.Hour // a bubble begins in 2000, and an epoch time is one from 2001 on
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(sinceBubbles)
	at := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }
	for name, c := range map[string]struct {
		limits  Limits
		headers []string
		want    time.Duration
	}{
		"delta seconds":                {Limits{}, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "30"}, 30 * time.Second},
		"epoch seconds":                {Limits{}, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", at(30 * time.Second)}, 30 * time.Second},
		"epoch milliseconds":           {Limits{}, []string{"X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", at(30*time.Second) + "500"}, 30*time.Second + 500*time.Millisecond},
		"a date":                       {Limits{}, []string{"X-Rate-Limit-Remaining", "0", "X-Rate-Limit-Reset", now.Add(20 * time.Second).Format(http.TimeFormat)}, 20 * time.Second},
		"RFC 3339":                     {Limits{}, []string{"RateLimit-Remaining", "0", "RateLimit-Reset", now.Add(20 * time.Second).Format(time.RFC3339)}, 20 * time.Second},
		"a length of time":             {Limits{}, []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "1.5s"}, 1500 * time.Millisecond},
		"reset after":                  {Limits{}, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset-After", "7.5"}, 7500 * time.Millisecond},
		"the server's own clock":       {Limits{}, []string{"Date", now.Add(time.Hour).Format(http.TimeFormat), "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", at(time.Hour + 9*time.Second)}, 9 * time.Second},
		"several windows":              {Limits{}, []string{"RateLimit-Limit", "10, 10;w=1, 500;w=60", "RateLimit-Remaining", "0", "RateLimit-Reset", "1"}, time.Second},
		"draft 7":                      {Limits{}, []string{"RateLimit", "limit=100, remaining=0, reset=50"}, 50 * time.Second},
		"draft 10":                     {Limits{}, []string{"RateLimit", `"minute";r=3;t=9, "day";r=0;t=40`}, 40 * time.Second},
		"draft 10, by its policy":      {Limits{}, []string{"RateLimit-Policy", `"a, b";q=5;w=25`, "RateLimit", `"a, b";r=0`}, 25 * time.Second},
		"reserve as a share":           {Limits{Reserve: setting.Amount{Share: 0.1}}, []string{"X-RateLimit-Limit", "60", "X-RateLimit-Remaining", "6", "X-RateLimit-Reset", "30"}, 30 * time.Second},
		"reserve by the policy":        {Limits{Reserve: setting.Amount{Share: 0.5}}, []string{"RateLimit-Policy", `d;q=100;w=9`, "RateLimit", `d;r=50;t=8`}, 8 * time.Second},
		"reserve as a number":          {Limits{Reserve: setting.Amount{Count: 5}}, []string{"X-RateLimit-Remaining", "5", "X-RateLimit-Reset", "30"}, 30 * time.Second},
		"above the reserve":            {Limits{Reserve: setting.Amount{Share: 0.1}}, []string{"X-RateLimit-Limit", "60", "X-RateLimit-Remaining", "7", "X-RateLimit-Reset", "30"}, 0},
		"a share of what is not known": {Limits{Reserve: setting.Amount{Share: 0.1}}, []string{"X-RateLimit-Remaining", "1", "X-RateLimit-Reset", "30"}, 0},
		"headers of its own":           {Limits{RemainingHeader: "Quota-Left", ResetHeader: "Quota-Until"}, []string{"Quota-Left", "0", "Quota-Until", "20"}, 20 * time.Second},
		"something left":               {Limits{}, []string{"X-RateLimit-Remaining", "1", "X-RateLimit-Reset", "30"}, 0},
		"no end":                       {Limits{}, []string{"X-RateLimit-Remaining", "0"}, 0},
		"over already":                 {Limits{}, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", at(-time.Minute)}, 0},
		"no limit at all":              {Limits{}, []string{"X-RateLimit-Limit", "0", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "30"}, 0},
		"nonsense":                     {Limits{}, []string{"X-RateLimit-Remaining", "none", "X-RateLimit-Reset", "soon", "RateLimit", `;;=,"`}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				time.Sleep(sinceBubbles)
				c.limits.Name = "erp.example.com"
				hosts := NewHosts([]Limits{c.limits})
				asked := 0
				api := script(func(*http.Request) *http.Response {
					if asked++; asked == 1 {
						return says(200, "[]", c.headers...)
					}
					return says(200, "[]")
				})
				began := time.Now()
				if _, err := asker(hosts, api, "https://erp.example.com/a", nil)(t.Context()); err != nil || time.Since(began) > 0 {
					t.Fatalf("%s, %v", time.Since(began), err)
				}
				if _, err := asker(hosts, api, "https://erp.example.com/b", nil)(t.Context()); err != nil {
					t.Fatal(err)
				}
				waited(t, "the second request", time.Since(began), c.want)
			})
		})
	}
}

// told is an answer that is given later.
type told struct {
	status  int
	body    string
	headers []string
}

func saying(status int, body string, headers ...string) told { return told{status, body, headers} }

func TestWhatMeansALimit(t *testing.T) {
	quota := func(head []byte) bool { return bytes.Contains(head, []byte("quota")) }
	for name, c := range map[string]struct {
		limits Limits
		answer told
		want   time.Duration // until the second attempt; negative: there is none
	}{
		"429":                               {Limits{}, saying(429, "", "Retry-After", "9"), 9 * time.Second},
		"429 by the reset of the quota":     {Limits{}, saying(429, "", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "9"), 9 * time.Second},
		"429 with a reset alone":            {Limits{}, saying(429, "", "X-RateLimit-Reset", "9"), 9 * time.Second},
		"503 with Retry-After":              {Limits{}, saying(503, "", "Retry-After", "9"), 9 * time.Second},
		"403 with Retry-After":              {Limits{}, saying(403, "", "Retry-After", "9"), 9 * time.Second},
		"403 with a quota that is spent":    {Limits{}, saying(403, "", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "9"), 9 * time.Second},
		"403":                               {Limits{}, saying(403, ""), -1},
		"403 that means a limit":            {Limits{Statuses: []int{403}}, saying(403, "no", "Retry-After", "9"), 9 * time.Second},
		"403 with the words":                {Limits{Statuses: []int{403}, Quota: quota, ResetHeader: "Again"}, saying(403, "over quota", "Again", "9"), 9 * time.Second},
		"403 without the words":             {Limits{Statuses: []int{403}, Quota: quota, ResetHeader: "Again"}, saying(403, "no access", "Again", "9"), -1},
		"another status that means a limit": {Limits{Statuses: []int{418}}, saying(418, "", "Retry-After", "9"), 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				c.limits.Name = "erp.example.com"
				asked := 0
				api := script(func(*http.Request) *http.Response {
					if asked++; asked == 1 {
						return says(c.answer.status, c.answer.body, c.answer.headers...)
					}
					return says(200, "[]")
				})
				began := time.Now()
				resp, err := asker(NewHosts([]Limits{c.limits}), api, "https://erp.example.com/a", nil)(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if c.want < 0 {
					if asked != 1 || resp.Status != 403 || time.Since(began) > 0 {
						t.Errorf("asked %d times, %d after %s", asked, resp.Status, time.Since(began))
					}
					return
				}
				waited(t, "the second attempt", time.Since(began), c.want)
			})
		})
	}
}

func TestRefusalsThatDoNotSayHowLongAreAnsweredWithLongerAndLongerWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hosts := NewHosts(nil)
		var times []time.Duration
		began := time.Now()
		api := script(func(*http.Request) *http.Response {
			times = append(times, time.Since(began))
			return says(429, "slow down")
		})
		ask := asker(hosts, api, "https://erp.example.com/a", func(o *setup) { o.Retry.Attempts = 5 })
		resp, err := ask(t.Context())
		if err != nil || resp.Status != 429 || resp.Attempts != 5 {
			t.Fatalf("%+v, %v", resp, err)
		}
		for i := 1; i < len(times); i++ {
			gap, most := times[i]-times[i-1], min(time.Second<<(i-1), 15*time.Second)
			if gap < most/2 || gap > most+most/10 {
				t.Errorf("wait %d is %s, want about %s", i, gap, most)
			}
		}
		last := time.Now()
		_, err = asker(hosts, script(func(*http.Request) *http.Response { return says(200, "") }), "https://erp.example.com/b", nil)(t.Context())
		if gap := time.Since(last); err != nil || gap < 7*time.Second {
			t.Errorf("another source asked %s after the refusal, %v", gap, err)
		}
	})
}

func TestThoseWhoWereHeldBackDoNotComeBackTogether(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hosts := NewHosts(nil)
		first := true
		times := map[time.Duration]bool{}
		began := time.Now()
		var mu sync.Mutex
		api := script(func(*http.Request) *http.Response {
			mu.Lock()
			defer mu.Unlock()
			if first {
				first = false
				return says(200, "", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "50")
			}
			times[time.Since(began)] = true
			return says(200, "")
		})
		var all sync.WaitGroup
		if _, err := asker(hosts, api, "https://erp.example.com/", nil)(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			all.Go(func() {
				if _, err := asker(hosts, api, "https://erp.example.com/", nil)(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(times) < 15 {
			t.Errorf("twenty came back at %d times", len(times))
		}
	})
}

func TestARequestThatWaitsGivesUpWithItsContext(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cause := errors.New("the daemon stops")
		hosts := NewHosts([]Limits{{Name: "erp.example.com", Rate: setting.Rate{Count: 2, Per: time.Minute}}})
		ask := asker(hosts, script(func(*http.Request) *http.Response { return says(200, "") }), "https://erp.example.com/", nil)
		if _, err := ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { cancel(cause) })
		if _, err := ask(ctx); !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
		began := time.Now()
		if _, err := ask(t.Context()); err != nil || time.Since(began) > 25*time.Second {
			t.Errorf("the token was not given back: %s, %v", time.Since(began), err)
		}
	})
}

func TestNewLimitsForgetNothingThatAHostSaid(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hosts := NewHosts(nil)
		limited := script(func(*http.Request) *http.Response { return says(429, "", "Retry-After", "3600") })
		_, _ = asker(hosts, limited, "https://erp.example.com/", nil)(t.Context())
		hosts.Set([]Limits{{Name: "erp.example.com:443", Rate: setting.Rate{Count: 1, Per: time.Second}}})
		_, err := asker(hosts, limited, "https://erp.example.com/", nil)(t.Context())
		if wait, ok := errors.AsType[*DeferredError](err); !ok || wait.Host == "" {
			t.Errorf("got %v", err)
		}
	})
}

func TestAHostIsFoundUnderEachSpelling(t *testing.T) {
	hosts := NewHosts([]Limits{{Name: "erp.example.com"}, {Name: "erp.example.com:8443"}, {Name: "::1"}, {Name: "unix:/run/erp.sock"}})
	for address, want := range map[string]string{
		"https://ERP.example.com/a": "erp.example.com", "http://erp.example.com": "erp.example.com", "https://erp.example.com:9000/": "erp.example.com",
		"https://erp.example.com:8443/": "erp.example.com:8443", "http://[::1]:8080/": "::1", "unix:/run/erp.sock:/x": "unix:/run/erp.sock",
		"unix:/run/other.sock:/x": "unix:/run/other.sock", "https://crm.example.com/": "crm.example.com:443", "http://crm.example.com:8080/": "crm.example.com:8080",
	} {
		target := targetOf(t, address)
		if got := hosts.of(target.URL).name; got != want || !target.At(want) {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
}

func TestThePlaceOfARequestIsGivenBackOnce(t *testing.T) {
	hosts := NewHosts([]Limits{{Name: "erp.example.com", Concurrency: 1}})
	u := &url.URL{Scheme: "http", Host: "erp.example.com"}
	g := hosts.Gate(nil, GateOptions{})
	leave, err := g.admit(t.Context(), hosts.of(u))
	if err != nil {
		t.Fatal(err)
	}
	leave()
	leave()
	if _, err := g.admit(t.Context(), hosts.of(u)); err != nil {
		t.Error(err)
	}
	if _, err := g.admit(t.Context(), hosts.of(u)); err == nil {
		t.Error("two are under way")
	}
}
