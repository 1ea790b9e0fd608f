// Package simtest simulates the world around deltahook in virtual time: APIs that change and fail, receivers that fail, a disk that
// fails or loses its power, a network, people, and a process that dies at any moment. What the process does is held against the truth,
// promise by promise (P1 to P12), at each commit and each delivery and again when all has come to rest.
//
// A step is one thing that happens: a change of one record upstream, a request that an API or a receiver gets, a fault that one of
// them answers with, the start, stop or death of a process, an edit of its configuration, or something that a person does.
//
//	go test ./internal/simtest                            some worlds of 400 steps
//	go test ./internal/simtest -seeds 10000 -steps 1000   many, each for longer
//	go test ./internal/simtest -seed 42 -steps 300       the beginning of one, again
//	go test ./internal/simtest -kind details             with lists of one kind
package simtest
