import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SignatureException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Tells whether a webhook comes from Reelgate. Needs nothing but Java 17: copy it into your program. */
public final class Verify {
    private static final long TOLERANCE_SECONDS = 300;

    private record Signature(String scheme, String timestamp, String prefix, String presented) {}

    private Verify() {}

    /**
     * Returns if one of the secrets signed the body, and recently. Throws SignatureException with the message
     * no_signature, no_match, too_old or too_new if not. Give the body as it came, before anything parsed it,
     * request::getHeader as header, and two secrets while you rotate.
     */
    public static void verify(byte[] rawBody, UnaryOperator<String> header, List<String> secrets, Instant now)
            throws GeneralSecurityException {
        List<Signature> signatures = signaturesIn(header);
        if (signatures.isEmpty()) throw new SignatureException("no_signature");
        for (Signature signature : signatures) {
            for (String secret : secrets) {
                byte[] expected = sign(signature, secret, rawBody).getBytes(StandardCharsets.UTF_8);
                byte[] presented = signature.presented().getBytes(StandardCharsets.UTF_8);
                if (!MessageDigest.isEqual(expected, presented)) continue;
                long age = now.getEpochSecond() - Long.parseLong(signature.timestamp());
                if (age > TOLERANCE_SECONDS) throw new SignatureException("too_old");
                if (age < -TOLERANCE_SECONDS) throw new SignatureException("too_new");
                return;
            }
        }
        throw new SignatureException("no_match");
    }

    private static List<Signature> signaturesIn(UnaryOperator<String> header) {
        List<Signature> found = new ArrayList<>();
        // Those of the contracts: t=…,v1=…,v1=…
        for (String name : List.of("X-Seedancee2-Signature", "X-NextAPI-Signature", "X-Webhook-Signature")) {
            List<String> parts = Stream.of(text(header, name).split(",")).map(String::strip).toList();
            String timestamp =
                    parts.stream().filter(part -> part.startsWith("t=")).findFirst().orElse("t=").substring(2);
            for (String part : parts)
                if (part.startsWith("v1=") && timestamp.matches("[0-9]{1,18}"))
                    found.add(new Signature("v1=", timestamp, timestamp + ".", part));
        }
        // That of Standard Webhooks: v1,… v1,…
        String id = text(header, "webhook-id");
        String timestamp = text(header, "webhook-timestamp");
        for (String part : text(header, "webhook-signature").split(" "))
            if (part.startsWith("v1,") && !id.isEmpty() && timestamp.matches("[0-9]{1,18}"))
                found.add(new Signature("v1,", timestamp, id + "." + timestamp + ".", part));
        return found;
    }

    /** The contracts' key is the whole secret, that of Standard Webhooks what follows whsec_, decoded. */
    private static String sign(Signature signature, String secret, byte[] rawBody) throws GeneralSecurityException {
        boolean isStandard = signature.scheme().equals("v1,");
        byte[] key = secret.getBytes(StandardCharsets.UTF_8);
        if (isStandard) key = Base64.getDecoder().decode(secret.substring("whsec_".length()));
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        mac.update(signature.prefix().getBytes(StandardCharsets.UTF_8));
        byte[] digest = mac.doFinal(rawBody);
        String printed = isStandard ? Base64.getEncoder().encodeToString(digest) : HexFormat.of().formatHex(digest);
        return signature.scheme() + printed;
    }

    private static String text(UnaryOperator<String> header, String name) {
        String value = header.apply(name);
        return value == null ? "" : value;
    }
}
