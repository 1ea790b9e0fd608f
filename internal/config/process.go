package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// Store is where state is kept, the table [store].
type Store struct {
	URL          string           `toml:"url"`           // "sqlite:PATH" or "postgres://…", or a reference to a secret that holds it
	Lease        setting.Duration `toml:"lease"`         // on PostgreSQL: a replica that is silent for so long is taken for dead
	KeepEvents   setting.Duration `toml:"keep_events"`   // settled events are kept this long
	KeepAttempts setting.Duration `toml:"keep_attempts"` // attempts of settled deliveries too, at most as long as the events
	KeepRemoved  setting.Duration `toml:"keep_removed"`  // the state of sources that left the configuration too
	MaxSize      setting.Size     `toml:"max_size"`      // above it the oldest settled events go earlier; 0: no limit
}

// DefaultStore gives the defaults of [store].
func DefaultStore() Store {
	const day = 24 * 60 * 60 * 1e9
	return Store{URL: "sqlite:deltahook.db", Lease: 10 * 1e9, KeepEvents: 14 * day, KeepAttempts: 14 * day, KeepRemoved: 30 * day}
}

// Location gives the URL with a reference to a secret resolved.
func (s *Store) Location(secrets *setting.Secrets) (string, error) {
	if !isReference(s.URL) {
		return s.URL, nil
	}
	return secrets.Resolve(setting.NewSecret(s.URL))
}

// Validate reports what is wrong with the section.
func (s *Store) Validate(secrets *setting.Secrets) setting.Problems {
	var p setting.Problems
	location, err := s.Location(secrets)
	switch kind, path, _ := strings.Cut(location, ":"); {
	case err != nil:
		p.Add(setting.Hint(err), err.Error(), "url")
	case kind == "postgres" || kind == "postgresql":
		if u, err := url.Parse(location); err != nil || strings.Trim(u.Path, "/") == "" {
			p.Add(`write "postgres://USER@HOST/DATABASE"; with a password, keep it all in a secret: url = "env:DELTAHOOK_STORE"`,
				"the store url is not postgres://USER@HOST/DATABASE", "url")
		}
		if location == s.URL {
			l := setting.Literals{Problems: &p, Secrets: secrets, Hint: `keep it all in a secret: url = "env:DELTAHOOK_STORE"`}
			l.OfPassword(location, "url")
			l.OfQuery(location, "url")
		}
	case kind != "sqlite" || path == "":
		p.Add(`write "sqlite:" and the path of a file, like "sqlite:/var/lib/deltahook/deltahook.db", or "postgres://USER@HOST/DATABASE"`,
			"the store url is neither sqlite:PATH nor postgres://…", "url")
	}
	if s.Lease < shortestLease || s.Lease > longestLease {
		p.Add(`write lease = "10s"`, fmt.Sprintf("lease = %q is not between 1s and 10m", s.Lease), "lease")
	}
	positive(&p, "keep_events", s.KeepEvents)
	positive(&p, "keep_attempts", s.KeepAttempts)
	positive(&p, "keep_removed", s.KeepRemoved)
	if s.MaxSize > 0 && s.MaxSize < smallestStore {
		p.Add(`write max_size = "1GiB", or "0B" for no limit`, fmt.Sprintf("max_size = %q leaves no room for events", s.MaxSize), "max_size")
	}
	return p
}

// Bounds of lease: every replica writes to the database five times in it, and for as long nobody takes over from one that died.
const (
	shortestLease = setting.Duration(time.Second)
	longestLease  = setting.Duration(10 * time.Minute)
)

// smallestStore is the least that max_size can be.
const smallestStore = 16 << 20

func positive(p *setting.Problems, key string, d setting.Duration) {
	if d <= 0 {
		p.Add(`write a time like "14d"`, key+" is zero: nothing would be kept", key)
	}
}

// Admin is the API for people and probes, the table [admin].
type Admin struct {
	Listen       string         `toml:"listen"` // host:port
	Token        setting.Secret `toml:"token"`  // needed for actions, and for everything off loopback
	ShowPayloads bool           `toml:"show_payloads"`
}

// DefaultAdmin gives the defaults of [admin].
func DefaultAdmin() Admin { return Admin{Listen: "127.0.0.1:9644", ShowPayloads: true} }

// Validate reports what is wrong with the section.
func (a *Admin) Validate(secrets *setting.Secrets) setting.Problems {
	var p setting.Problems
	host, port, err := net.SplitHostPort(a.Listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		p.Add(`write "127.0.0.1:9644"`, fmt.Sprintf("listen = %q is not an address with a port", a.Listen), "listen")
	} else if a.Token.IsZero() && !isLoopback(host) {
		p.Warn(`set token = "env:DELTAHOOK_ADMIN_TOKEN", or listen on 127.0.0.1`,
			"without a token, only the health checks answer on an address that is not loopback", "listen")
	}
	if a.Token.IsZero() {
		return p
	}
	if _, err := secrets.Resolve(a.Token); err != nil {
		p.Add(setting.Hint(err), err.Error(), "token")
	}
	return p
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// Log is what the process tells of itself, the table [log].
type Log struct {
	Format string `toml:"format"` // "auto" (text on a terminal, json elsewhere), "text", "json"
	Level  string `toml:"level"`  // "debug", "info", "warn", "error"
}

// DefaultLog gives the defaults of [log].
func DefaultLog() Log { return Log{Format: "auto", Level: "info"} }

// Slog gives the level for log/slog.
func (l *Log) Slog() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// Validate reports what is wrong with the section.
func (l *Log) Validate(*setting.Secrets) setting.Problems {
	var p setting.Problems
	choice(&p, "format", l.Format, "auto", "text", "json")
	choice(&p, "level", l.Level, "debug", "info", "warn", "error")
	return p
}

func choice(p *setting.Problems, key, value string, valid ...string) {
	if slices.Contains(valid, value) {
		return
	}
	hint := `write one of "` + strings.Join(valid, `", "`) + `"`
	if near := Suggest(value, valid); near != "" {
		hint = fmt.Sprintf("did you mean %q? It is one of %s", near, strings.Join(valid, ", "))
	}
	p.Add(hint, fmt.Sprintf("%s = %q does not exist", key, value), key)
}
