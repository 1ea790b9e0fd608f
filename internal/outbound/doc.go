// Package outbound is the policy of every HTTP request that leaves the process: connections, time limits, retries,
// redirects, which host may see credentials, and errors that say what happened without saying a secret.
package outbound
