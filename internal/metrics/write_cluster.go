package metrics

// writeReplicas writes how this replica sees the others, where there can be some. Each says so of itself: to sum these up would count
// them several times.
func writeReplicas(p *page, now *Now) {
	if len(now.Members) == 0 {
		return
	}
	owned, differ, version := 0, 0, ""
	for i := range now.Members {
		switch m := &now.Members[i]; {
		case m.Self:
			owned, version = m.Shards, m.Config
		case len(m.Differs) > 0:
			differ++
		}
	}
	p.family("deltahook_replicas", gauge, "Replicas that share the store and are alive, as this one sees it.")
	p.sample(float64(len(now.Members)))
	p.family("deltahook_replicas_config_differs", gauge, "Replicas whose configuration is another one than that of this one.")
	p.sample(float64(differ))
	p.family("deltahook_shards_owned", gauge, "Shards that this replica owns, of 256 in all.")
	p.sample(float64(owned))
	p.family("deltahook_shards_unowned", gauge, "Shards that no replica owns, as this one sees it; their sources wait.")
	p.sample(float64(now.Unowned))
	p.family("deltahook_config_info", gauge, "Always 1; the label is the version of the configuration in force, the same on all replicas that agree.")
	p.sample(1, "version", version)
}
