// Package tracing sends spans of polls and of attempts to deliver to an OpenTelemetry collector: OTLP over HTTP, as JSON. It reads the
// environment variables of OpenTelemetry and knows no other configuration. See https://opentelemetry.io/docs/specs/otlp/.
package tracing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/emitter"
)

// Options are what the environment says. The zero value exports nothing and records every trace.
type Options struct {
	Endpoint string            // the full URL; empty: nothing is exported
	Headers  map[string]string // of each request; they may be secret
	Gzip     bool
	Timeout  time.Duration
	Resource map[string]string // attributes, service.name among them
	// Ratio of traces that are recorded, 0 to 1.
	Ratio float64
}

// variables of the environment, by what they are for: the one for traces alone, then the one for all signals.
type environment func(string) (string, bool)

func (e environment) get(names ...string) string {
	for _, name := range names {
		if v, _ := e(name); strings.TrimSpace(v) != "" {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// FromEnvironment reads the variables. An error says what cannot be done as they ask; nothing is exported then.
func FromEnvironment(lookupEnv func(string) (string, bool)) (Options, error) {
	env := environment(lookupEnv)
	o := Options{Timeout: 10 * time.Second, Ratio: 1}
	if strings.EqualFold(env.get("OTEL_SDK_DISABLED"), "true") {
		return o, nil
	}
	var err error
	if o.Ratio, err = ratio(env.get("OTEL_TRACES_SAMPLER"), env.get("OTEL_TRACES_SAMPLER_ARG")); err != nil {
		return o, err
	}
	endpoint, err := endpoint(env)
	if endpoint == "" || err != nil {
		return o, err
	}
	if p := env.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); p == "grpc" {
		return o, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL=%s is not supported: give the collector's HTTP endpoint (port 4318) and http/json", p)
	}
	switch c := env.get("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"); c {
	case "", "none":
	case "gzip":
		o.Gzip = true
	default:
		return o, fmt.Errorf("OTEL_EXPORTER_OTLP_COMPRESSION=%s is not supported: write gzip or none", c)
	}
	if text := env.get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return o, fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT=%s is not a number of milliseconds", text)
		}
		o.Timeout = time.Duration(ms) * time.Millisecond
	}
	if o.Headers, err = pairs("OTEL_EXPORTER_OTLP_HEADERS", env.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")); err != nil {
		return o, err
	}
	if o.Resource, err = pairs("OTEL_RESOURCE_ATTRIBUTES", env.get("OTEL_RESOURCE_ATTRIBUTES")); err != nil {
		return o, err
	}
	if name := env.get("OTEL_SERVICE_NAME"); name != "" {
		o.Resource["service.name"] = name
	} else if o.Resource["service.name"] == "" {
		o.Resource["service.name"] = "deltahook"
	}
	o.Endpoint = endpoint
	return o, nil
}

// endpoint gives the URL for traces; empty when none is asked for. That of all signals is a base, to which the path is added.
func endpoint(env environment) (string, error) {
	switch e := env.get("OTEL_TRACES_EXPORTER"); e {
	case "", "otlp":
	case "none":
		return "", nil
	default:
		return "", fmt.Errorf("OTEL_TRACES_EXPORTER=%s is not supported: write otlp or none", e)
	}
	text := env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if text == "" {
		if text = env.get("OTEL_EXPORTER_OTLP_ENDPOINT"); text == "" {
			return "", nil
		}
		text = strings.TrimSuffix(text, "/") + "/v1/traces"
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", errors.New("OTEL_EXPORTER_OTLP_ENDPOINT is not a URL like http://127.0.0.1:4318")
	}
	return text, nil
}

// pairs reads key=value,key=value with values in URL encoding. What it shows has no value: it may be a secret.
func pairs(variable, text string) (map[string]string, error) {
	all := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !ok || key == "" || err != nil {
			return nil, fmt.Errorf("%s is not a list like key=value,key=value", variable)
		}
		all[key] = value
	}
	return all, nil
}

// ratio reads a sampler. Each event begins its trace here, so that a sampler that asks a parent first is the one for roots.
func ratio(sampler, arg string) (float64, error) {
	switch strings.TrimPrefix(sampler, "parentbased_") {
	case "", "always_on":
		return 1, nil
	case "always_off":
		return 0, nil
	case "traceidratio":
		if arg == "" {
			return 1, nil
		}
		r, err := strconv.ParseFloat(arg, 64)
		if err != nil || math.IsNaN(r) || r < 0 || r > 1 {
			return 1, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG=%s is not a ratio between 0 and 1", arg)
		}
		return r, nil
	}
	return 1, fmt.Errorf("OTEL_TRACES_SAMPLER=%s is not supported: write always_on, always_off or traceidratio", sampler)
}

// Sampled says whether a trace is recorded. All who see it decide in the same way: by the last eight bytes of its id.
func (o *Options) Sampled(id emitter.TraceID) bool {
	if o.Ratio >= 1 {
		return true
	}
	return float64(binary.BigEndian.Uint64(id[8:])>>1) < o.Ratio*math.MaxInt64
}
