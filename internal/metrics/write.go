package metrics

import (
	"cmp"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
)

// Now is how things are at a moment; the counters come to it.
type Now struct {
	admin.Status
	StoreBytes int64 // in use; 0: not known yet
}

// The states of sources and webhooks, in the order in which they are shown.
func sourceStates() []string {
	return []string{"ok", "failing", "held", "quiet", "paused", "waiting", "baselining"}
}

func webhookStates() []string { return []string{"ok", "failing", "recovering", "paused"} }

// Text gives all metrics.
func (m *Metrics) Text(now *Now) []byte {
	p := &page{buf: make([]byte, 0, m.size.Load()+4096)}
	m.retain(now)
	writeProgram(p, now)
	writeConfig(p, now)
	p.family("deltahook_store_commits_fenced_total", counter, "Commits that the store refused because another replica owns the source.")
	p.sample(float64(m.fenced.Load()))
	writeReplicas(p, now)
	m.writeSources(p, now)
	m.writeWebhooks(p, now)
	writeProcess(p)
	m.size.Store(int64(len(p.buf)))
	return p.buf
}

func (m *Metrics) retain(now *Now) {
	sources, webhooks := make(map[string]bool, len(now.Sources)), make(map[string]bool, len(now.Webhooks))
	for i := range now.Sources {
		sources[now.Sources[i].Name] = true
	}
	for i := range now.Webhooks {
		webhooks[now.Webhooks[i].Name] = true
	}
	m.keep(sources, webhooks)
}

func writeProgram(p *page, now *Now) {
	p.family("deltahook_build_info", gauge, "Always 1; the labels tell which program this is.")
	p.sample(1, "version", now.Version, "goversion", runtime.Version())
	p.family("deltahook_start_time_seconds", gauge, "When the daemon was started.")
	p.sample(unix(now.Started))
	if now.StoreBytes > 0 {
		p.family("deltahook_state_db_bytes", gauge, "Bytes in use in the store, measured once a minute.")
		p.sample(float64(now.StoreBytes))
	}
}

func writeConfig(p *page, now *Now) {
	if now.Config == nil {
		return
	}
	p.family("deltahook_config_last_reload_successful", gauge, "1: the configuration in force is what stands in its files; 0: these were rejected.")
	p.sample(bit(now.Config.OK))
	p.family("deltahook_config_last_reload_success_timestamp_seconds", gauge, "Since when the configuration is in force.")
	p.sample(unix(now.Config.Loaded))
	p.family("deltahook_config_reloads_total", counter, "Attempts to reload the configuration since the start, by result.")
	p.sample(float64(now.Config.Reloads), "result", "applied")
	p.sample(float64(now.Config.Rejected), "result", "rejected")
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// writeSources writes how each source is, and what was counted of it.
func (m *Metrics) writeSources(p *page, now *Now) {
	counts := map[string]int{}
	p.family("deltahook_source_state", gauge, "1 for the state that the source is in, 0 for the others.")
	for i := range now.Sources {
		s := &now.Sources[i]
		counts[s.State]++
		for _, state := range sourceStates() {
			p.sample(bit(s.State == state), "source", s.Name, "state", state)
		}
	}
	p.family("deltahook_sources", gauge, "Sources in each state.")
	for _, state := range sourceStates() {
		p.sample(float64(counts[state]), "state", state)
	}
	for _, f := range sourceGauges() {
		p.family(f.name, gauge, f.help)
		for i := range now.Sources {
			if v, known := f.value(&now.Sources[i]); known {
				p.sample(v, "source", now.Sources[i].Name)
			}
		}
	}
	m.writePolls(p, now)
}

// sourceGauge is a gauge of each source.
type sourceGauge struct {
	name, help string
	value      func(s *admin.Source) (v float64, known bool)
}

func sourceGauges() []sourceGauge {
	at := func(get func(s *admin.Source) time.Time) func(s *admin.Source) (float64, bool) {
		return func(s *admin.Source) (float64, bool) { return unix(get(s)), !get(s).IsZero() }
	}
	return []sourceGauge{
		{
			"deltahook_source_last_success_timestamp_seconds", "When the last good poll of the source ended.",
			at(func(s *admin.Source) time.Time { return s.LastOK }),
		},
		{
			"deltahook_source_next_poll_timestamp_seconds", "When the source is due; absent while it is polled and while it is paused.",
			at(func(s *admin.Source) time.Time { return s.NextPoll }),
		},
		{
			"deltahook_source_last_change_timestamp_seconds", "When a poll last found a change.",
			at(func(s *admin.Source) time.Time { return s.Changed }),
		},
		{
			"deltahook_source_consecutive_failures", "Polls in a row that failed.",
			func(s *admin.Source) (float64, bool) { return float64(s.Failures), true },
		},
		{
			"deltahook_source_records", "Records that are known of the source.",
			func(s *admin.Source) (float64, bool) { return float64(s.Records), true },
		},
	}
}

// each calls do for the counters of each source that has some.
func (m *Metrics) each(now *Now, do func(name string, s *source)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i := range now.Sources {
		if s := m.sources[now.Sources[i].Name]; s != nil {
			do(now.Sources[i].Name, s)
		}
	}
}

// writePolls writes the counters of sources.
func (m *Metrics) writePolls(p *page, now *Now) {
	p.family("deltahook_source_polls_total", counter, "Polls, by verdict.")
	m.each(now, func(name string, s *source) {
		for i := range s.verdicts {
			if n := s.verdicts[i].Load(); n > 0 {
				p.sample(float64(n), "source", name, "result", string(verdicts()[i]))
			}
		}
	})
	p.family("deltahook_source_scheduled_polls_skipped_total", counter, "Scheduled times that passed while a poll of the source ran.")
	for i := range now.Sources {
		if s := &now.Sources[i]; s.Skipped > 0 {
			p.sample(float64(s.Skipped), "source", s.Name)
		}
	}
	p.family("deltahook_source_poll_duration_seconds", summary, "How long the polls of the source took that asked something.")
	m.each(now, func(name string, s *source) { s.took.write(p, "source", name) })
	p.family("deltahook_poll_duration_seconds", histogram, "How long the polls of all sources took that asked something.")
	m.polls.write(p)
	p.family("deltahook_source_change_lag_seconds", summary, "From the change of a record, by cursor.field, to the poll that found it.")
	m.each(now, func(name string, s *source) { s.lag.write(p, "source", name) })
	p.family("deltahook_change_lag_seconds", histogram, "The same for all sources.")
	m.lag.write(p)
	for _, c := range sourceCounters() {
		p.family(c.name, counter, c.help)
		m.each(now, func(name string, s *source) {
			if v := c.value(s); v > 0 {
				p.sample(v, append([]string{"source", name}, c.labels...)...)
			}
		})
	}
	p.family("deltahook_source_requests_total", counter, "Requests to the API of the source, by status; none: no answer came.")
	m.each(now, func(name string, s *source) { writeBy(p, s, &s.requests, "code", codeText, "source", name) })
	p.family("deltahook_events_total", counter, "Events that were committed, by type.")
	m.each(now, func(name string, s *source) {
		writeBy(p, s, &s.events, "type", func(t string) string { return t }, "source", name)
	})
}

// sourceCounter is a counter of each source.
type sourceCounter struct {
	name, help string
	labels     []string
	value      func(s *source) float64
}

func sourceCounters() []sourceCounter {
	return []sourceCounter{
		{
			"deltahook_source_records_skipped_total", "Records that were left out, by reason; key: they have none that can be used.",
			[]string{"reason", "key"},
			func(s *source) float64 { return float64(s.skipped.Load()) },
		},
		{
			"deltahook_source_ignored_changes_total", "Known records that changed only in what does not count (fields, ignore, unordered).", nil,
			func(s *source) float64 { return float64(s.ignored.Load()) },
		},
		{
			"deltahook_source_rate_limited_seconds_total", "Time that requests waited for the limits of their host, its own and those of the configuration.", nil,
			func(s *source) float64 { return time.Duration(s.waited.Load()).Seconds() },
		},
	}
}

// writeBy writes a counter of a source by one more label. The map is made with the first thing that is counted, perhaps meanwhile.
func writeBy[K cmp.Ordered](p *page, s *source, counts *map[K]int64, label string, text func(K) string, labels ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(*counts)) {
		p.sample(float64((*counts)[key]), append(labels, label, text(key))...)
	}
}
