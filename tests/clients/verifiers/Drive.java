import java.security.SignatureException;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import java.util.Scanner;
import java.util.stream.Stream;

public final class Drive {
    public static void main(String[] arguments) throws Exception {
        Scanner lines = new Scanner(System.in, "UTF-8");
        while (lines.hasNextLine()) {
            String[] fields = lines.nextLine().split("\t", -1);
            byte[] body = Base64.getDecoder().decode(fields[2]);
            try {
                Verify.verify(
                        body,
                        name -> Stream.of(fields)
                                .skip(3)
                                .filter(each -> each.toLowerCase().startsWith(name.toLowerCase() + ": "))
                                .map(each -> each.substring(name.length() + 2))
                                .findFirst()
                                .orElse(null),
                        List.of(fields[1].split(",")),
                        Instant.ofEpochSecond(Long.parseLong(fields[0])));
                System.out.println("valid");
            } catch (SignatureException refused) {
                System.out.println(refused.getMessage());
            }
        }
    }
}
