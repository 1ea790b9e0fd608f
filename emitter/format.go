package emitter

// format is one value of the key format: what the body of a webhook looks like.
type format struct {
	contentType string
	encode      func(dst []byte, e *Event) []byte
}

// formats has the values of the key format by their name.
func formats() map[string]format {
	return map[string]format{
		"standard": {contentType: "application/json", encode: EncodeStandard},
	}
}

// Encode gives the body of the event as this webhook gets it, or nil when that is the body of the format "standard".
func (w *Webhook) Encode(e *Event) []byte {
	if w.Format == "standard" {
		return nil
	}
	return formats()[w.Format].encode(nil, e)
}
