package emitter

const headerAttempt = "deltahook-attempt"
