package poller

import (
	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/auth"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// Source is the configuration of one polled API, the table [source.NAME]. DefaultSource has the defaults.
type Source struct {
	Name string `toml:"-"`

	URL     string            `toml:"url"`
	Method  string            `toml:"method"`
	Headers map[string]string `toml:"headers"`
	Query   map[string]string `toml:"query"`
	Body    string            `toml:"body"`

	Every    setting.Duration `toml:"every"`
	Cron     string           `toml:"cron"`
	Timezone string           `toml:"timezone"`
	Jitter   setting.Duration `toml:"jitter"`
	Active   Hours            `toml:"active"` // a window or a list of windows
	OnStart  string           `toml:"on_start"`
	Missed   string           `toml:"missed"`
	Timeout  setting.Duration `toml:"timeout"`
	Deadline setting.Duration `toml:"deadline"`

	Records   differ.Path   `toml:"records"`
	Key       differ.Paths  `toml:"key"`    // a path or a list of paths
	Spread    bool          `toml:"spread"` // of the schedule; beside the other switch it takes no room of its own
	Single    bool          `toml:"single"`
	Fields    []differ.Path `toml:"fields"`
	Ignore    []differ.Path `toml:"ignore"`
	Unordered []differ.Path `toml:"unordered"`

	Where     []differ.Condition `toml:"where"`      // only records for which all of them hold are followed
	WhereExit string             `toml:"where_exit"` // "deleted", "silent"

	// ExpectChange is how long nothing may change before somebody is told; zero: nobody expects anything.
	ExpectChange setting.Duration `toml:"expect_change_within"`

	Initial string   `toml:"initial"`
	To      []string `toml:"to"`
	Type    string   `toml:"type"`

	Pages   Pages   `toml:"pages"`
	Cursor  Cursor  `toml:"cursor"`
	Deletes Deletes `toml:"deletes"`

	Partitions Partitions `toml:"partitions"`

	Detail   Detail       `toml:"detail"`
	Guard    Guard        `toml:"guard"`
	Response Response     `toml:"response"`
	Auth     auth.Config  `toml:"auth"`
	TLS      outbound.TLS `toml:"tls"`
	Retry    Retry        `toml:"retry"`

	Conditional  string         `toml:"conditional"`
	Redirects    string         `toml:"redirects"`
	AllowedHosts []string       `toml:"allowed_hosts"`
	UserAgent    string         `toml:"user_agent"`
	Proxy        outbound.Proxy `toml:"proxy"`
	HTTPVersion  string         `toml:"http_version"` // "1.1"; empty: 2 where the server has it
}

// Pages says how a listing goes on after its first answer, the table pages.
type Pages struct {
	Kind  string           `toml:"kind"` // "link", "next_url", "cursor", "page", "offset", "last_key"; empty: one answer is the whole listing
	Param string           `toml:"param"`
	In    string           `toml:"in"`   // where param is set: "query", "header"; "body": where the placeholder stands
	Next  differ.Path      `toml:"next"` // of the next URL or token
	Start First            `toml:"start"`
	Size  int              `toml:"size"`
	Sizes string           `toml:"size_param"`
	Total differ.Path      `toml:"total"`
	More  differ.Condition `toml:"has_more"` // of the answer: false on the last page

	Overlap int              `toml:"overlap"` // records that are asked for again with the next page
	Delay   setting.Duration `toml:"delay"`
	Max     int              `toml:"max"`
}

// Deletes says how deletions are found, the table deletes.
type Deletes struct {
	Detect  string           `toml:"detect"` // "off", "scan", "flag"
	Confirm int              `toml:"confirm"`
	Flag    differ.Condition `toml:"flag"` // on a record: it is deleted

	Verify     string           `toml:"verify"`      // URL of one record; empty: its absence is enough
	VerifyGone differ.Condition `toml:"verify_gone"` // on the answer there, when it is a success: the record is deleted
}

// Guard holds a poll that looks wrong, the table guard.
type Guard struct {
	MaxDeletes setting.Share `toml:"max_deletes"`
	MinDeletes int           `toml:"min_deletes"`
	MaxEvents  int           `toml:"max_events"`
	Empty      string        `toml:"empty"` // "hold", "allow"
}

// Response says what an answer looks like, the table response.
type Response struct {
	Format     string           `toml:"format"`      // "json", "ndjson", "xml", "csv"
	Charset    string           `toml:"charset"`     // wins over what the answer declares
	ForceArray []differ.Path    `toml:"force_array"` // of xml: elements that are lists even when there is one of them
	Delimiter  string           `toml:"delimiter"`   // of csv; empty: found in the header row
	Columns    []string         `toml:"columns"`     // of csv without a header row
	Empty      differ.Condition `toml:"empty"`       // on an answer without a list: the list is empty
	Error      differ.Condition `toml:"error"`       // on the answer beside its records: it is an error whatever its status says
	Message    differ.Path      `toml:"message"`     // of the text that says what the error is
	MaxBody    setting.Size     `toml:"max_body"`    // of one answer, after decompression
	MaxScan    setting.Size     `toml:"max_scan"`    // of all answers of one poll together
}

// Retry is the in-poll retry of one request, the table retry.
type Retry struct {
	Attempts int              `toml:"attempts"`
	Base     setting.Duration `toml:"base"`
	Max      setting.Duration `toml:"max"`
	MaxWait  setting.Duration `toml:"max_wait"`
	On       []int            `toml:"on"`
}
