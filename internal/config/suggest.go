package config

import (
	"slices"
	"strings"
)

// Suggest gives the known word that was probably meant by word, or "" when none is near. Case, "-" and "_" do not count.
func Suggest(word string, known []string) string {
	plain := plainWord(word)
	best, least := "", max(1, len(plain)/3)+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(plain, plainWord(k)); d < least && d < len(plain) {
			best, least = k, d
		}
	}
	return best
}

func plainWord(word string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(word))
}

// distance is the number of letters to insert, remove, replace or swap with their neighbour (optimal string alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	rows := [3][]int{make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(s); i++ {
		before, above, row := rows[(i+1)%3], rows[(i+2)%3], rows[i%3]
		row[0] = i
		for j := 1; j <= len(t); j++ {
			change := above[j-1]
			if s[i-1] != t[j-1] {
				change++
			}
			row[j] = min(above[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return rows[len(s)%3][len(t)]
}

// synonyms are what other tools, or people, call a key. The first one that is allowed where the word stands is meant.
func synonyms(word string) []string {
	switch plainWord(word) {
	case "exclude", "excluded", "excludes", "skip", "ignored", "ignorefields", "volatile":
		return []string{"ignore"}
	case "include", "only", "select", "columns", "attributes":
		return []string{"fields"}
	case "interval", "period", "frequency", "pollinterval", "pollevery", "refresh":
		return []string{"every"}
	case "schedule", "crontab", "cronspec":
		return []string{"cron"}
	case "tz", "zone", "location":
		return []string{"timezone"}
	case "id", "ids", "idfield", "primarykey", "pk", "uniquekey", "keys", "idpath":
		return []string{"key"}
	case "items", "list", "path", "data", "rows", "results", "root", "recordspath", "listpath":
		return []string{"records"}
	case "endpoint", "uri", "address", "href", "link", "baseurl":
		return []string{"url", "webhook"}
	case "target", "targets", "webhook", "webhooks", "destination", "destinations", "send", "sendto", "hook", "hooks", "sink", "output":
		return []string{"to", "webhook"}
	case "sources", "input", "poll", "poller", "api":
		return []string{"source"}
	case "params", "parameters", "querystring", "urlparams":
		return []string{"query"}
	case "signature", "signing":
		return []string{"sign"}
	case "key", "signingkey", "signingsecret", "hmac", "token", "secrets", "password":
		return []string{"secret", "token", "password"}
	case "pagination", "paging", "paginate", "page":
		return []string{"pages"}
	case "user", "login":
		return []string{"username"}
	case "backoff", "retries", "attempts":
		return []string{"retry"}
	case "concurrency", "workers", "parallel", "maxconcurrency":
		return []string{"max_in_flight"}
	case "queue", "queuesize", "maxpending":
		return []string{"max_queue"}
	case "ratelimit", "limit":
		return []string{"rate"}
	case "firstrun", "start", "onfirstrun":
		return []string{"initial"}
	case "filter", "eventtypes":
		return []string{"events"}
	case "postgres", "database", "db", "dsn", "state":
		return []string{"url", "store"}
	case "http", "server", "listener", "bind", "port":
		return []string{"listen", "admin"}
	case "logging", "logs", "logger":
		return []string{"log"}
	case "default", "global", "globals", "common":
		return []string{"defaults"}
	}
	return nil
}
