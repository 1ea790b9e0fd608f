import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Receives the webhooks of deltahook: verifies them (Standard Webhooks v1), drops duplicates and outdated states, and prints one line for
 * each event. It uses the JDK alone, which has no JSON: yours reads the event with the library that you have.
 */
public final class Receiver {
    private static final long TOLERANCE = 5 * 60; // seconds that webhook-timestamp may be from our clock
    private static final int MAX_BODY = 16 << 20;

    private final byte[] key;
    private final Set<String> done = new HashSet<>(); // webhook-ids that were handled; keep yours in the database
    private final Map<String, Long> last = new HashMap<>(); // newest sequence by record; a column of the record in yours

    private Receiver(byte[] key) {
        this.key = key;
    }

    private static final class BadRequest extends Exception {
        BadRequest(String message) {
            super(message);
        }
    }

    /** Gives the id of the event. */
    private String verify(Headers headers, byte[] body) throws BadRequest, GeneralSecurityException {
        String id = header(headers, "webhook-id");
        String timestamp = header(headers, "webhook-timestamp");
        if (!timestamp.matches("[0-9]{1,12}") || Math.abs(Instant.now().getEpochSecond() - Long.parseLong(timestamp)) > TOLERANCE) {
            throw new BadRequest("webhook-timestamp is missing or not of now");
        }
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
        byte[] want = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
        boolean found = false;
        for (String given : header(headers, "webhook-signature").split(" ")) { // several while a secret is rotated
            found |= MessageDigest.isEqual(given.getBytes(StandardCharsets.UTF_8), want); // in constant time
        }
        if (!found) {
            throw new BadRequest("webhook-signature does not match");
        }
        return id;
    }

    private static String header(Headers headers, String name) {
        return Optional.ofNullable(headers.getFirst(name)).orElse("");
    }

    private static final Pattern EVENT = Pattern.compile(
        "^\\s*\\{\"type\":\"([^\"\\\\]+)\",\"timestamp\":\"[^\"]+\",\\s*\"data\":\\{\"source\":\"([^\"]+)\",\"change\":\"[a-z]+\","
            + "\"key\":(\"(?:[^\"\\\\]|\\\\.)*\"),\"sequence\":([0-9]+),.*\\}\\s*$", Pattern.DOTALL);

    /** Does the work of one event, exactly once and never backwards. In yours the work, done and last are one transaction. */
    private synchronized void handle(String id, String body) throws BadRequest {
        Matcher event = EVENT.matcher(body);
        if (!event.matches()) {
            throw new BadRequest("not an event");
        }
        String record = event.group(2) + " " + event.group(3);
        long sequence = Long.parseLong(event.group(4));
        String verdict = "applied";
        if (done.contains(id)) {
            verdict = "duplicate"; // at least once: it may come again
        } else if (sequence > 0 && sequence <= last.getOrDefault(record, 0L)) {
            verdict = "outdated"; // a newer state of this record is here already
        } else {
            done.add(id);
            last.put(record, sequence);
        }
        System.out.printf("%s %s key=%s sequence=%d %s%n", verdict, event.group(1), event.group(3), sequence, id);
    }

    private void receive(HttpExchange exchange) throws IOException {
        try (exchange) {
            byte[] body = exchange.getRequestBody().readNBytes(MAX_BODY + 1); // the signature is over the raw bytes
            String problem = "";
            try {
                if (body.length > MAX_BODY) {
                    throw new BadRequest("the body is too large");
                }
                handle(verify(exchange.getRequestHeaders(), body), new String(body, StandardCharsets.UTF_8));
            } catch (BadRequest e) {
                problem = e.getMessage();
            } catch (GeneralSecurityException e) {
                throw new IOException(e);
            }
            byte[] answer = problem.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(problem.isEmpty() ? 204 : 400, problem.isEmpty() ? -1 : answer.length);
            if (!problem.isEmpty()) {
                exchange.getResponseBody().write(answer);
            }
        }
    }

    public static void main(String[] args) throws IOException {
        String secret = Optional.ofNullable(System.getenv("WEBHOOK_SECRET")).orElse("");
        if (!secret.startsWith("whsec_")) {
            System.err.println("set WEBHOOK_SECRET to the secret that deltahook signs with: whsec_…");
            System.exit(1);
        }
        Receiver receiver = new Receiver(Base64.getDecoder().decode(secret.substring("whsec_".length())));
        String[] listen = Optional.ofNullable(System.getenv("LISTEN")).orElse("127.0.0.1:8080").split(":");
        HttpServer server = HttpServer.create(new InetSocketAddress(listen[0], Integer.parseInt(listen[1])), 0);
        server.createContext("/", receiver::receive);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
        System.out.println("listening on http://" + listen[0] + ":" + server.getAddress().getPort());
    }
}
