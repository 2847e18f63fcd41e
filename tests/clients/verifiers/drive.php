<?php
require '/verify.php';

foreach (explode("\n", rtrim(file_get_contents('/cases'), "\n")) as $line) {
    [$now, $secrets, $body] = $fields = explode("\t", $line);
    $headers = [];
    foreach (array_slice($fields, 3) as $header) {
        [$name, $value] = explode(': ', $header, 2);
        $headers[$name] = $value;
    }
    try {
        Reelgate\verify(base64_decode($body), $headers, explode(',', $secrets), 300, (int) $now);
        echo "valid\n";
    } catch (Reelgate\SignatureError $refused) {
        echo $refused->getMessage(), "\n";
    }
}
