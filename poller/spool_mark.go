package poller

import (
	"fmt"
	"io"
)

// spoolMark is a place on a spool.
type spoolMark struct {
	size          int64
	count, events int
}

func (s *spool) mark() spoolMark { return spoolMark{s.size, s.count, s.events} }

// rollback takes back what was added behind a mark.
func (s *spool) rollback(to spoolMark) error {
	s.count, s.events = to.count, to.events
	s.size = to.size
	if s.file == nil {
		s.memory.Truncate(int(to.size))
		return nil
	}
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	if err := s.file.Truncate(to.size); err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	if _, err := s.file.Seek(to.size, io.SeekStart); err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	return nil
}
