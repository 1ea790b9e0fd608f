package poller

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/setting"
)

// Edited is what a configuration means for what is stored of a source.
type Edited struct {
	Identity string // how the records are identified in another way, for people; empty when they are not
	Compare  string // what of them is compared in another way, for people; empty when nothing is
	Baseline bool   // nothing is stored: the next complete poll is a baseline
}

// Against compares a valid configuration with what is stored.
func (s *Source) Against(st *State) (Edited, error) {
	if !st.established() {
		return Edited{Baseline: true}, nil
	}
	configured, err := s.identity()
	if err != nil {
		return Edited{}, err
	}
	var e Edited
	if configured != st.Identity {
		e.Identity = identityChange(st.Identity, configured)
	} else if st.Mixed && !st.Held.decided() {
		e.Identity = "what identifies the records was edited again before the decision about an edit was carried out"
	}
	if now := comparisonOf(s); now != st.Compare {
		e.Compare = comparisonChange(st.Compare, now)
	}
	return e, nil
}

// SameRecords says whether the configuration identifies its records as the stored ones are.
func (s *Source) SameRecords(st *State) bool {
	configured, err := s.identity()
	return err == nil && configured == st.Identity
}

func (s *Source) identity() (string, error) {
	var problems setting.Problems
	requests := compileRequests(s, "", &problems)
	for _, p := range problems {
		if !p.Warning {
			return "", fmt.Errorf("source %s: %w", s.Name, p)
		}
	}
	return identityOf(s, requests.target.Origin()), nil
}

// comparisonChange says for people what differs between two stored comparisons: "ignore +seen -etag; where +a == 1".
func comparisonChange(stored, configured string) string {
	var was, is comparison
	if json.Unmarshal([]byte(stored), &was) != nil || json.Unmarshal([]byte(configured), &is) != nil {
		return "what is compared was changed"
	}
	var parts []string
	for _, list := range []struct {
		key     string
		was, is []string
	}{
		{"fields", was.Fields, is.Fields},
		{"ignore", was.Ignore, is.Ignore},
		{"unordered", was.Unordered, is.Unordered},
		{"where", was.Where, is.Where},
		{"deletes.flag", oneOrNone(was.Flag), oneOrNone(is.Flag)},
	} {
		var words []string
		for _, text := range list.is {
			if !slices.Contains(list.was, text) {
				words = append(words, "+"+text)
			}
		}
		for _, text := range list.was {
			if !slices.Contains(list.is, text) {
				words = append(words, "-"+text)
			}
		}
		if len(words) == 0 && !slices.Equal(list.was, list.is) {
			words = []string{"in another order"}
		}
		if len(words) > 0 {
			parts = append(parts, list.key+" "+strings.Join(words, " "))
		}
	}
	return strings.Join(parts, "; ")
}

func oneOrNone(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}
