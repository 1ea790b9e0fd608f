# frozen_string_literal: true

# Receives the webhooks of deltahook: verifies them (Standard Webhooks v1), drops duplicates and outdated states, and
# prints one line for each event. It uses Ruby's standard library and webrick.

require "json"
require "openssl"
require "webrick"

TOLERANCE = 5 * 60 # seconds that webhook-timestamp may be from our clock
MAX_BODY = 16 << 20

class BadRequest < StandardError; end

def signing_key
  key = ENV.fetch("WEBHOOK_SECRET", "").delete_prefix("whsec_").unpack1("m0")
  raise ArgumentError if key.empty?
  key
rescue ArgumentError
  abort "set WEBHOOK_SECRET to the secret that deltahook signs with: whsec_…"
end

# Gives the id of the event.
def verify(key, headers, body, now)
  id = headers["webhook-id"].to_s
  timestamp = headers["webhook-timestamp"].to_s
  unless timestamp.match?(/\A\d{1,12}\z/) && (now - timestamp.to_i).abs <= TOLERANCE
    raise BadRequest, "webhook-timestamp is missing or not of now"
  end
  mac = OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{timestamp}.".b + body)
  want = "v1,#{[mac].pack('m0')}"
  given = headers["webhook-signature"].to_s.split # several while a secret is rotated
  unless given.any? { |one| OpenSSL.secure_compare(one, want) } # in constant time
    raise BadRequest, "webhook-signature does not match"
  end
  id
end

# Does the work of each event exactly once and never backwards. In yours the work, done and last are one transaction.
class Events
  def initialize
    @lock = Mutex.new
    @done = {} # webhook-ids that were handled; keep yours in the database, for as long as deltahook may replay
    @last = Hash.new(0) # sequence of the newest state we have, by record; a column of the record in yours
  end

  def handle(id, body)
    event = JSON.parse(body)
    type = event.fetch("type")
    data = event.fetch("data")
    record = [data["source"], data["key"]]
    sequence = data["sequence"].to_i
    @lock.synchronize do
      verdict = take(id, record, sequence)
      puts "#{verdict} #{type} key=#{data['key'].to_json} sequence=#{sequence} #{id}"
    end
  rescue JSON::ParserError, KeyError, NoMethodError, TypeError => e
    raise BadRequest, "not an event: #{e.class}"
  end

  private

  def take(id, record, sequence)
    return "duplicate" if @done[id] # at least once: it may come again
    return "outdated" if sequence.positive? && sequence <= @last[record] # a newer state of this record is here already
    @done[id] = true
    @last[record] = sequence
    "applied"
  end
end

class Receiver < WEBrick::HTTPServlet::AbstractServlet
  def initialize(server, key, events)
    super(server)
    @key = key
    @events = events
  end

  def do_POST(request, response)
    body = (request.body || "").b # the signature is over the raw bytes: nothing may parse them before
    raise BadRequest, "the body is too large" if body.bytesize > MAX_BODY
    id = verify(@key, request, body, Time.now.to_i)
    @events.handle(id, body.force_encoding("UTF-8"))
    response.status = 204
  rescue BadRequest => e
    response.status = 400
    response.body = e.message
  end
end

$stdout.sync = true
host, port = ENV.fetch("LISTEN", "127.0.0.1:8080").split(":")
server = WEBrick::HTTPServer.new(
  BindAddress: host, Port: port.to_i, AccessLog: [], Logger: WEBrick::Log.new(File::NULL),
  StartCallback: -> { puts "listening on http://#{host}:#{server.listeners.first.addr[1]}" }
)
server.mount("/", Receiver, signing_key, Events.new)
%w[INT TERM].each { |signal| trap(signal) { server.shutdown } }
server.start
