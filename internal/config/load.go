package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/setting"
)

// Options say what Load reads.
type Options struct {
	// Paths are files, or folders of which every *.toml is read in the order of names. Files are merged.
	Paths []string
	// Secrets resolve the references in the files, to see that they are set. Nil resolves literals and files only.
	Secrets *setting.Secrets
}

// File is a file that was read.
type File struct {
	Path string
	Text []byte
}

// Load reads the configuration. The error says that a file cannot be read. All that is wrong in the files is in the report,
// and the configuration is nil unless the report is OK.
func Load(o Options) (*Config, *Report, error) {
	files, err := ReadFiles(o.Paths)
	if err != nil {
		return nil, &Report{}, err
	}
	c, r := Parse(files, o.Secrets)
	return c, r, nil
}

// Parse is Load for files that were read already. There must be at least one.
func Parse(files []File, secrets *setting.Secrets) (*Config, *Report) {
	if secrets == nil {
		secrets = &setting.Secrets{}
	}
	c, found := read(files, secrets)
	report := found.report(secrets.Redact)
	report.Draft = c
	if !report.OK() {
		return nil, report
	}
	return c, report
}

func read(files []File, secrets *setting.Secrets) (*Config, *findings) {
	l := &loader{config: Default(), secrets: secrets, found: &findings{}, parts: map[string]*part{}, layouts: layouts{}}
	for i, f := range files {
		l.config.Files = append(l.config.Files, f.Path)
		for _, doc := range parse(f, i, l.found) {
			l.collect(doc)
		}
	}
	l.config.Fingerprint = fingerprint(files)
	l.build()
	return l.config, l.found
}

// ReadFiles reads files and folders of *.toml, each file once.
func ReadFiles(paths []string) ([]File, error) {
	var files []File
	for _, path := range paths {
		names, err := expand(path)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if slices.ContainsFunc(files, func(f File) bool { return f.Path == name }) {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("read configuration: %w", err)
			}
			files = append(files, File{Path: name, Text: text})
		}
	}
	if len(files) == 0 {
		return nil, &setting.HintedError{
			Message: "there is no configuration file in " + strings.Join(paths, ", "),
			Hint:    "files of a folder are read when their name ends in .toml",
		}
	}
	return files, nil
}

// expand lists the files that a path stands for. Hidden files do not count: editors and volume mounts leave them.
func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if !info.IsDir() {
		return []string{filepath.Clean(path)}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	var names []string
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		if strings.HasPrefix(e.Name(), ".") || filepath.Ext(name) != ".toml" {
			continue
		}
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			continue
		}
		names = append(names, name)
	}
	return names, nil
}

// Fingerprint changes when the content of the files changes, or when one is added or removed. It tells a daemon that there
// is something to reload, also where files are replaced through links.
func Fingerprint(paths []string) (string, error) {
	files, err := ReadFiles(paths)
	if err != nil {
		return "", err
	}
	return fingerprint(files), nil
}

func fingerprint(files []File) string {
	all := sha256.New()
	for _, f := range files {
		fmt.Fprintf(all, "%q %d\n", f.Path, len(f.Text))
		_, _ = all.Write(f.Text)
	}
	return hex.EncodeToString(all.Sum(nil))
}
