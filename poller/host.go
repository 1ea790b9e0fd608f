package poller

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// Host is what all sources that ask one host share, the table [host."NAME"]. The zero value is no limit.
type Host struct {
	Name string `toml:"-"` // "erp.example.com" on all ports, "erp.example.com:8443", or "unix:/path.sock"

	Rate        setting.Rate   `toml:"rate"`        // of requests
	Burst       int            `toml:"burst"`       // requests that may come at once; 0: 1
	Concurrency int            `toml:"concurrency"` // requests under way at the same time; 0: any number
	Reserve     setting.Amount `toml:"reserve"`     // of the server's quota, left for others

	LimitStatus     []int            `toml:"limit_status"` // that mean "too much", besides 429
	LimitWhen       differ.Condition `toml:"limit_when"`   // on the body under one of these; zero: always
	LimitHeader     string           `toml:"limit_header"`
	RemainingHeader string           `toml:"remaining_header"`
	ResetHeader     string           `toml:"reset_header"`
}

// DefaultHost gives the table that is not written.
func DefaultHost() Host { return Host{} }

// Validate reports all that is wrong with the table.
func (h *Host) Validate(*setting.Secrets) setting.Problems {
	var p setting.Problems
	if !isHostName(h.Name) {
		p.Add(`write [host."erp.example.com"], [host."erp.example.com:8443"] or [host."unix:/path.sock"], in lower case`,
			fmt.Sprintf("%q is not a host", h.Name))
	}
	for key, n := range map[string]int{"burst": h.Burst, "concurrency": h.Concurrency} {
		if n < 0 {
			p.Add("leave it out for no limit", fmt.Sprintf("%d is less than nothing", n), key)
		}
	}
	if h.Burst > 0 && h.Rate.IsZero() {
		p.Add(`write rate = "50/s"`, "burst is a part of rate, which is not set", "burst")
	}
	for i, status := range h.LimitStatus {
		if status < 400 || status > 599 {
			p.Add("write statuses from 400 to 599", fmt.Sprintf("%d is no refusal", status), "limit_status", strconv.Itoa(i))
		}
	}
	if len(h.LimitStatus) == 0 && !h.LimitWhen.IsZero() {
		p.Add("write limit_status = [403]", "limit_when says when a status means a limit, and limit_status names none", "limit_when")
	}
	for key, name := range map[string]string{"limit_header": h.LimitHeader, "remaining_header": h.RemainingHeader, "reset_header": h.ResetHeader} {
		if name != "" && !isToken(name) {
			p.Add("", fmt.Sprintf("%q is not a header name", name), key)
		}
	}
	return p
}

func isHostName(name string) bool {
	if strings.HasPrefix(name, "unix:/") {
		return true
	}
	if host, port, err := net.SplitHostPort(name); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
		name = host
	}
	return net.ParseIP(name) != nil || regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`).MatchString(name)
}

// limits gives the table as the gate needs it.
func (h *Host) limits() outbound.Limits {
	l := outbound.Limits{
		Name: h.Name, Rate: h.Rate, Burst: h.Burst, Concurrency: h.Concurrency, Reserve: h.Reserve, Statuses: h.LimitStatus,
		LimitHeader: h.LimitHeader, RemainingHeader: h.RemainingHeader, ResetHeader: h.ResetHeader,
	}
	if when := h.LimitWhen; !when.IsZero() {
		l.Quota = func(head []byte) bool { return when.Match(document(head)) }
	}
	return l
}

// document gives the beginning of an answer as JSON: itself, or as one string when it is something else.
func document(head []byte) []byte {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	if json.Valid(head) {
		return head
	}
	text, err := json.Marshal(string(head))
	if err != nil {
		return nil
	}
	return text
}

// Asks says whether the source asks the host: its url, or where it gets a token.
func (s *Source) Asks(h *Host) bool {
	for _, address := range []string{s.URL, s.Auth.TokenURL, s.Auth.URL} {
		if address == "" {
			continue
		}
		before, _, _ := strings.Cut(address, "?")
		if target, err := outbound.ParseTarget(originPrefix(before)); err == nil && target.At(h.Name) {
			return true
		}
	}
	return false
}

// network is what all sources of a process share: connections, what is known of each host, and the tools of those that are polled.
type network struct {
	transports *outbound.Transports
	hosts      *outbound.Hosts
	toolbox
}

func newNetwork(o Options) *network {
	n := &network{transports: outbound.NewTransports(o.Secrets), hosts: outbound.SharedHosts(nil, o.Pool), toolbox: toolbox{seed: o.Seed}}
	n.transports.Dial = o.Dial
	n.setHosts(o.Hosts)
	return n
}

func (n *network) setHosts(hosts []Host) {
	tables := make([]outbound.Limits, len(hosts))
	for i := range hosts {
		tables[i] = hosts[i].limits()
	}
	n.hosts.Set(tables)
}
