package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
)

// printMembers shows the replicas, where there can be several, and what is not as it should be with them.
func (a *app) printMembers(s admin.Status, now time.Time) error {
	if len(s.Members) > 0 {
		if err := a.membersTable(s, now); err != nil {
			return err
		}
	}
	if s.Unowned > 0 {
		fmt.Fprintf(a.stdout, "\n%d of 256 shards have no owner at the moment; their sources wait\n", s.Unowned)
	}
	return nil
}

func (a *app) membersTable(s admin.Status, now time.Time) error {
	fmt.Fprintln(a.stdout)
	rows := make([][]string, len(s.Members))
	for i := range s.Members {
		m := &s.Members[i]
		name := m.ID
		if m.Self {
			name += " (this one)"
		}
		rows[i] = []string{name, m.Version, ago(now, m.Started), strconv.Itoa(m.Shards), m.Config, strings.Join(m.Keeps, ", ")}
	}
	if err := a.table([]string{"REPLICA", "VERSION", "UP", "SHARDS", "CONFIG", "KEEPS"}, rows); err != nil {
		return err
	}
	for i := range s.Members {
		m := &s.Members[i]
		if len(m.Differs) > 0 {
			fmt.Fprintf(a.stdout, "\n%s: its %s are others than here, since %s ago; sources that only one of the two has wait until both have them\n",
				a.paint(red, m.ID+" runs another configuration"), strings.Join(m.Differs, ", "), ago(now, m.Loaded))
		}
		if m.Rejected != "" && !m.Self {
			fmt.Fprintf(a.stdout, "\n%s; the one from before goes on there\n", a.paint(red, m.ID+" rejects the configuration in its files"))
		}
	}
	return nil
}

// staleNote is the note of a source, and that it may not be so any more.
func staleNote(s *admin.Source) string {
	if !s.Stale {
		return s.Note
	}
	return strings.TrimSpace("not up to date " + s.Note)
}
